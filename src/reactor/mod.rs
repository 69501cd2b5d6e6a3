//! The first floor: decides who is woken.
// Nothing calls these rooms yet; the reactor itself will.
#![cfg_attr(not(test), allow(dead_code))]

mod wakers;
