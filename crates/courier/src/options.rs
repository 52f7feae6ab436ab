//! The courier's limits.

use std::time::Duration;

use ipnet::IpNet;

/// The limits of the courier, each with its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Ranges that are reached although they are private, loopback or the like. Default: none.
    pub allow_targets: Vec<IpNet>,
    /// Certificates (PEM) of authorities that targets are trusted by besides those of the system. Default: none.
    pub authorities: Vec<u8>,
    /// How long a connection may take, name look-up and TLS included. Default: 3 s.
    pub connect_timeout: Duration,
    /// How long an attempt may take as a whole. Default: 10 s.
    pub total_timeout: Duration,
    /// How long a delivery is taken on for; more than `total_timeout`. Default: 30 s.
    pub lease: Duration,
    /// Attempts under way at a time. Default: 256.
    pub concurrency: usize,
    /// Attempts under way at a time to one host and port. Default: 32.
    pub host_concurrency: usize,
    /// Attempts a second to one host and port; 0 is no limit. Default: 0.
    pub host_rate: u32,
    /// Failures in a row (no usable answer, 429, 5xx) after which a host and port is left alone; 0 never. Then
    /// one postback is sent as a probe. Default: 10.
    pub breaker_failures: u32,
    /// How long it is left alone before the first probe; twice as long after each probe that fails. Default:
    /// 30 s.
    pub breaker_pause: Duration,
    /// How long it is left alone at most. Default: 10 min.
    pub breaker_pause_max: Duration,
    /// Deliveries taken on and not yet settled. Default: 1024.
    pub in_hand: usize,
    /// How long attempts under way may go on once the courier is told to stop. Default: 12 s.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_targets: Vec::new(),
            authorities: Vec::new(),
            connect_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(10),
            lease: Duration::from_secs(30),
            concurrency: 256,
            host_concurrency: 32,
            host_rate: 0,
            breaker_failures: 10,
            breaker_pause: Duration::from_secs(30),
            breaker_pause_max: Duration::from_secs(600),
            in_hand: 1024,
            drain: Duration::from_secs(12),
        }
    }
}
