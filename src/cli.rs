//! The command line. Operations go over the HTTP API: to the server that runs, or, where none does, to a front
//! door that is opened on the data folder for just this command.

pub mod table;
