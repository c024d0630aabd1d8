//! A mail server that delivers to nobody and keeps what it got. It speaks as much of SMTP (RFC 5321) as a submitting
//! client needs, without TLS.

mod greylist;
mod message;
mod session;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::greylist::Greylist;
use crate::world::World;

/// Conversations at the same time; further ones wait in the listener's backlog.
const SESSIONS_MAX: usize = 200;

/// Runs until it is dropped, and its conversations with it.
pub(crate) async fn serve(world: Arc<World>, listener: TcpListener) {
    let greylist = Arc::new(Greylist::default());
    let room = Arc::new(Semaphore::new(SESSIONS_MAX));
    let mut sessions = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a mail client could not be accepted");
                continue;
            }
        };
        while sessions.try_join_next().is_some() {}
        let (world, greylist) = (Arc::clone(&world), Arc::clone(&greylist));
        sessions.spawn(async move {
            if let Err(error) = session::run(&world, &greylist, stream).await {
                tracing::debug!(%error, "a mail conversation broke off");
            }
            drop(permit);
        });
    }
}
