//! The suppliers: Haier's open platform (what may be bought, at what price) and YLH (orders).

mod book;
mod callbacks;
mod cancel_supplier_order;
pub mod catalogue;
mod check_supplier_balance;
pub mod haier;
mod handle_supplier_callback;
mod let_go;
mod place_supplier_order;
mod supplier_order;
pub(crate) mod supply;
mod sync_chunk;
mod sync_prices;
mod sync_products;
pub mod sync_run;
mod sync_stock;
mod track_parcels;
mod watch_supplier_orders;
pub mod ylh;

pub(crate) use book::{set_cancel, set_return_reason};
pub(crate) use callbacks::job_for;
pub use callbacks::{SOURCE as YLH_CALLBACK_SOURCE, receive_ylh_callback};
pub use cancel_supplier_order::CancelSupplierOrder;
pub(crate) use cancel_supplier_order::is_answered as cancel_is_answered;
pub use check_supplier_balance::CheckSupplierBalance;
pub use handle_supplier_callback::HandleSupplierCallback;
pub use place_supplier_order::PlaceSupplierOrder;
pub(crate) use place_supplier_order::is_known as create_is_known;
pub use supplier_order::{Bought, CancelState, SupplierState};
pub use sync_chunk::SyncChunk;
pub use sync_prices::SyncPrices;
pub use sync_products::SyncProducts;
pub use sync_stock::SyncStock;
pub use track_parcels::TrackParcels;
pub use watch_supplier_orders::WatchSupplierOrders;
