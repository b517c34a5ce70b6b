//! `sec`: a native Kamailio module that tells customers from attackers.
