//! Tests of the whole: the contract's checks, the example tree, input that is wrong, TLS of the clients.

mod bad_input;
mod contract;
mod example;
mod tls;
