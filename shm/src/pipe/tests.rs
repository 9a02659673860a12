//! Whatever comes through a pipe that no pipe has sent: it is refused, and the next message is received.

use std::{fs::File, os::fd::BorrowedFd};

use super::*;
use crate::{
    Descriptor,
    packet::frame::{HEADER, Header, INLINE},
    pipe::send::{BYTES, ITEM},
    sys::memory,
};

type Ends<T> = (PipeSender<T>, PipeReceiver<T>);

fn ends<T>() -> Ends<T> {
    one_way().unwrap()
}

/// An item of no payload, so far.
fn header() -> Header {
    Header {
        kind: ITEM,
        parcel: false,
        payload: 0,
        descriptors: 0,
    }
}

fn inject<T>(
    sender: &PipeSender<T>,
    header: Header,
    payload: &[u8],
    descriptors: &[BorrowedFd<'_>],
) {
    socket::send(sender.as_fd(), [&header.to_bytes(), payload], descriptors).unwrap();
}

/// What becomes of such a packet, after which an ordinary message is received.
fn refused(header: Header, payload: &[u8], descriptors: &[BorrowedFd<'_>]) -> PipeError {
    let (sender, receiver) = ends::<u64>();
    inject(&sender, header, payload, descriptors);
    sender.send(77).unwrap();
    let error = receiver.try_recv().unwrap_err();
    assert_eq!(receiver.try_recv().unwrap(), Some(77), "after {error}");
    error
}

fn file_of(len: u64) -> File {
    let file = memory::anonymous().unwrap();
    file.set_len(len).unwrap();
    file
}

#[test]
fn what_is_no_packet_of_ours_is_refused() {
    for foreign in [&[0][..], &[0xff; HEADER], &[7; 1000]] {
        let (sender, receiver) = ends::<u64>();
        socket::send(sender.as_fd(), [foreign, &[]], &[]).unwrap();
        sender.send(77).unwrap();
        let error = receiver.recv().unwrap_err();
        assert!(matches!(error, PipeError::Malformed { .. }), "{error}");
        assert_eq!(receiver.recv().unwrap(), Some(77));
    }
}

#[test]
fn a_packet_that_is_longer_than_any_is_refused() {
    let long = Header {
        payload: INLINE as u64 + 1,
        ..header()
    };
    let error = refused(long, &[0; INLINE + 1], &[]);
    assert!(matches!(error, PipeError::Malformed { .. }), "{error}");
}

#[test]
fn what_is_no_item_of_the_type_is_refused() {
    let text = |payload: &[u8]| {
        let header = Header {
            payload: payload.len() as u64,
            ..header()
        };
        refused(header, payload, &[]).to_string()
    };
    assert!(text(&[]).contains("could not be decoded"));
    assert!(text(&[0xff; 20]).contains("could not be decoded"));
    assert!(text(&[1, 2]).contains("1 bytes are left over"));
}

#[test]
fn a_kind_that_nobody_knows_is_refused() {
    let error = refused(
        Header {
            kind: 99,
            ..header()
        },
        &[],
        &[],
    );
    assert!(error.to_string().contains("unknown kind 99"), "{error}");
}

#[test]
fn descriptors_that_are_announced_and_missing_are_missed() {
    let (bait, _) = ends::<()>();
    for (announced, sent) in [(1, 0), (2, 1), (0, 1), (251, 250), (u32::MAX, 1)] {
        let wrong = Header {
            descriptors: announced,
            ..header()
        };
        let error = refused(wrong, &[], &vec![bait.as_fd(); sent]);
        assert!(
            matches!(error, PipeError::DescriptorsLost { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_parcel_that_is_not_what_was_said_is_refused() {
    let parcel = |payload| Header {
        parcel: true,
        payload,
        ..header()
    };
    let error = refused(parcel(8), &[], &[]);
    assert!(
        matches!(error, PipeError::DescriptorsLost { expected: 1 }),
        "{error}"
    );
    // Shorter, longer, a hole.
    for (said, len) in [(8, 7), (8, 9), (1 << 30, 1 << 30)] {
        let error = refused(parcel(said), &[], &[file_of(len).as_fd()]);
        assert!(matches!(error, PipeError::Malformed { .. }), "{error}");
    }
    // No file at all.
    let (socket, _) = ends::<()>();
    let error = refused(parcel(8), &[], &[socket.as_fd()]);
    assert!(matches!(error, PipeError::Malformed { .. }), "{error}");
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_memory_is_taken_for_it() {
    let huge = Header {
        parcel: true,
        payload: u64::MAX,
        ..header()
    };
    match refused(huge, &[], &[file_of(0).as_fd()]) {
        PipeError::TooLong { len, limit } => assert_eq!((len, limit), (u64::MAX, MAX_MESSAGE)),
        other => panic!("{other}"),
    }
}

/// Fault 27.
#[test]
fn damage_to_any_bit_of_a_packet_harms_that_message_alone() {
    let header = Header {
        kind: BYTES,
        payload: 3,
        ..header()
    };
    let packet = [&header.to_bytes()[..], b"abc"].concat();
    for bit in 0..packet.len() * 8 {
        let mut damaged = packet.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (sender, receiver) = ends::<u64>();
        socket::send(sender.as_fd(), [&damaged, &[]], &[]).unwrap();
        sender.send_bytes(b"next").unwrap();
        let got = receiver.recv_bytes();
        assert_eq!(got.is_ok(), bit >= HEADER * 8, "bit {bit}: {got:?}");
        assert_eq!(receiver.recv_bytes().unwrap().unwrap(), b"next");
    }
}

#[test]
fn a_descriptor_is_handed_out_once_and_only_if_it_is_there() {
    type Two = (Descriptor, Descriptor);
    let (bait, _) = ends::<()>();
    for places in [[0, 0], [0, 1]] {
        let (sender, receiver) = ends::<Two>();
        let wrong = Header {
            payload: 2,
            descriptors: 1,
            ..header()
        };
        inject(&sender, wrong, &places, &[bait.as_fd()]);
        let error = receiver.recv().unwrap_err().to_string();
        assert!(error.contains("of a message that brought 1"), "{error}");
    }
}

#[test]
fn what_is_no_pipe_is_not_taken_for_one() {
    let (sender, receiver) = ends::<PipeSender<u64>>();
    let header = Header {
        payload: 2,
        descriptors: 1,
        ..header()
    };
    inject(&sender, header, &[0, 5], &[file_of(1).as_fd()]);
    let error = receiver.recv().unwrap_err().to_string();
    assert!(error.contains("not the end of a pipe"), "{error}");
}

#[test]
fn messages_of_any_length_travel_where_sockets_have_little_room() {
    let (sender, receiver) = ends::<()>();
    socket::have_little_room(sender.as_fd());
    for len in [0, 1, 4000, INLINE, INLINE + 1, 1 << 20] {
        let bytes = vec![7; len];
        sender.send_bytes(&bytes).unwrap();
        assert_eq!(receiver.recv_bytes().unwrap().unwrap(), bytes);
    }
}

#[test]
fn a_pipe_holds_no_more_long_messages_than_short_ones_of_that_weight() {
    let (sender, receiver) = ends::<Vec<u8>>();
    let long = vec![7u8; INLINE * 8];
    let sent = (0..100)
        .take_while(|_| sender.try_send(long.clone()).is_ok())
        .count();
    assert!((1..20).contains(&sent), "{sent}");
    drop(sender);
    assert_eq!(receiver.iter().filter_map(Result::ok).count(), sent);
}

#[test]
fn ends_and_errors_say_what_they_are() {
    fn send_to_nobody(sender: &PipeSender<u64>) -> Result<(), PipeError> {
        sender.send(1)?;
        Ok(())
    }
    fn pass_on(sender: &PipeSender<u64>) -> Result<(), Error> {
        sender.send(1)?;
        Ok(())
    }
    let (sender, receiver) = ends::<u64>();
    assert!(format!("{receiver:?}").contains("max_message: 1073741824"));
    assert!(format!("{:?}", receiver.iter()).contains("Pipe"));
    drop(receiver);
    let error = send_to_nobody(&sender).unwrap_err();
    assert!(error.is_disconnected() && !error.is_timeout() && !error.is_would_block());
    let text =
        "the pipe is disconnected: this end has finished sending, or nobody has the other one";
    assert_eq!(error.to_string(), text);
    assert_eq!(format!("{:?}", pass_on(&sender).unwrap_err()), text);
    assert_eq!(format!("{:?}", sender.send(1).unwrap_err()), text);
}
