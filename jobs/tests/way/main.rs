//! The way of an order, from the till to the customer's door and back: the real jobs on real files and sockets
//! against the simulated outside world.

mod door;
mod house;
mod town;

mod callbacks;
mod cancel;
mod crash;
mod happy;
mod late;
mod refuse;
mod storm;
mod sweep;
