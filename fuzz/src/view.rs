//! Layouts of any kind in a hostile world: attached to, used, buried, and again.

use multiproc_core::{LayoutError, Region};

use super::hostile::{Hostile, World};

/// A view of one of the layouts.
pub trait View<'w>: Sized {
    /// The layout in a region.
    ///
    /// # Errors
    ///
    /// When its header is not sound.
    fn attach(region: Region<'static>, os: Hostile<'w>) -> Result<Self, LayoutError>;

    /// Declares everybody dead.
    ///
    /// # Errors
    ///
    /// When its header is not sound.
    ///
    /// # Safety
    ///
    /// Nobody has it open.
    unsafe fn bury(region: Region<'static>, os: Hostile<'w>) -> Result<(), LayoutError>;

    /// Calls until the input says to stop; whether it says to bury everybody then.
    fn use_it(&self, world: &'w World<'w>) -> bool;

    /// Checks that nobody has it, after everybody was buried. Nobody else writes meanwhile.
    fn check_buried(&self, world: &'w World<'w>);
}

/// Lets peers write what they like, attaches to what lies there then, uses it, buries everybody, and again.
///
/// # Panics
///
/// When a promise is broken.
pub fn play<'w, V: View<'w>>(region: Region<'static>, world: &'w World<'w>) {
    let os = Hostile(world);
    while let Some(writes) = world.next() {
        if writes / 16 == 15 {
            world.be_nobody();
        }
        for _ in 0..writes % 16 {
            world.poke();
        }
        let view = V::attach(region, os).expect("its header is sound");
        if !view.use_it(world) {
            break;
        }
        world.come_back();
        world.at_peace(|| {
            // SAFETY: nobody has it open: no guard outlives `use_it`.
            let buried = world.call(|| unsafe { V::bury(region, os) });
            buried.expect("its header is sound");
            view.check_buried(world);
        });
    }
}
