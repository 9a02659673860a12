//! What producers and consumers do until all is done, or they are killed.

use crate::{
    ledger::{EACH, Ledger},
    line::{Putter, Taker},
    random::Random,
};

/// Who one is: of which of the places, and a number that no other life has.
pub type Who = (u64, Random);

/// The most messages that are put or taken at once.
pub const MANY: u64 = 32;

/// Puts what is left to put in this place.
pub fn produce<P: Putter>((putter, ledger, (place, mut random)): (P, Ledger, Who)) {
    loop {
        let next = ledger.put(place);
        let left = ledger.each - next;
        if left == 0 {
            return;
        }
        if random.once_in(2) {
            ledger.putting(place, next + 1, || putter.put([place, next]));
        } else {
            let end = next + (1 + random.below(MANY)).min(left);
            let messages = (next..end).map(|which| [place, which]);
            ledger.putting(place, end, || putter.put_many(messages));
        }
    }
}

/// Takes until there will be nothing more.
pub fn consume<T: Taker>((taker, ledger, (place, mut random)): (T, Ledger, Who)) {
    let mut last = [None; EACH as usize];
    let mut messages = Vec::new();
    let mut is_more = true;
    while is_more {
        let most = if random.once_in(2) { 1 } else { MANY };
        ledger.having(place, most, || {
            is_more = match most {
                1 => taker.get(&mut messages),
                most => taker.get_many(&mut messages, most as usize),
            };
            for message in messages.drain(..) {
                let last = &mut last[message[0] as usize];
                ledger.arrived(message, *last);
                *last = Some(message[1]);
            }
        });
    }
}
