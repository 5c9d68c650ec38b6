//! The local cloud from outside: AWS's SDKs over loopback, shell programs as jobs, a real function binary.

mod batch;
mod blocked;
mod chaos;
mod functions;
mod letters;
mod notices;
mod objects;
mod place;
mod restart;
mod uploads;
