//! `sec`: a native Kamailio module that tells customers from attackers.
//!
//! This page is the map of the crate: what is where, why it is so, and what must stay true. The
//! README is for operators; here is what a reader of the code wants to know first.
//!
//! # Bird's-eye view
//!
//! Kamailio loads `sec.so` and calls it in many processes. A SIP worker asks `sec_check()` about a
//! request and gets a verdict from shared memory alone. What changes (a ban, an entry) is written
//! there at once and told through a pipe to the agent, a process of our own, which does everything
//! that takes time.
//!
//! ```text
//!           request route                         kamcmd, JSON-RPC
//!                │                                       │
//! ┌──────────────▼──────────────┐          ┌─────────────▼─────────────┐
//! │ SIP workers                 │          │ RPC processes             │
//! │ check, script, orders       │          │ commands, explain, orders │
//! └──────┬───────────────┬──────┘          └──────┬─────────────┬──────┘
//!        │ atomics       │ events (pipe)          │ atomics     │ events
//!        │               │     ┌──────────────────┼─────────────┘
//!        │               │     │                  │
//!        │        ┌──────▼─────▼──────┐           │
//!        │        │ agent: tokio, one │ ◄─────────┼──► Redis
//!        │        │ thread; log lines │           │
//!        │        └──────┬────────────┘           │
//!        │               │ sweeps                 │
//! ┌──────▼───────────────▼────────────────────────▼──────┐
//! │ shared memory: one anonymous mapping, fixed at start │
//! │ rates │ counters │ ledger │ statistics │ status, …   │
//! └──────────────────────────────────────────────────────┘
//! ```
//!
//! # Processes
//!
//! | process | made by | runs |
//! |---|---|---|
//! | main | Kamailio | [`module`]: parameters, `mod_init` (the tables), `child_init` (the sockets, the supervisor) |
//! | SIP workers, timers | Kamailio | `check`, `script`, `orders` |
//! | those that answer commands | Kamailio | `commands`, `explain`, `orders`, statistics |
//! | supervisor | Kamailio, at our request | `agent::supervisor`: forks the agent, starts it again when it dies or hangs |
//! | events | Kamailio, at our request, if the script has a route for them | `event_routes` |
//! | agent | the supervisor | `agent`: journal, sweep, link to Redis |
//!
//! Architecture invariant: a SIP worker never waits. No network, no lock, no log line for a packet, no
//! system call but a non-blocking write when a state changes.
//!
//! Architecture invariant: the death of a process that Kamailio knows stops the server. So nothing of
//! ours that can fail runs in one: the supervisor has no thread, no network and no state, and the agent
//! is unknown to Kamailio.
//!
//! Architecture invariant: a process that is killed at any instant leaves nothing behind that another
//! could wait for.
//!
//! # Layers
//!
//! Arrows point downward only; `tests/tidy.rs` checks it.
//!
//! ```text
//! face      lib  module                                     every name that Kamailio sees
//!             │
//! glue      check script orders commands explain top node   one request or command, start to end
//!           event_routes agent/
//!             │
//! border    kamailio/            shared/                    C                  shared memory
//!             │                    │
//! pure      engine/  config/  cidr/  gcra  source           facts in, verdict out
//!           domain  extension/  feed/  user_agents  request  credentials
//! ```
//!
//! Architecture invariant: `unsafe` stands in `kamailio/` and `shared/` only; the pure layer forbids
//! it to itself.
//!
//! Architecture invariant: the pure layer knows no clock, no I/O and no C. Time and facts are
//! arguments, so a test, a model and a replay run the very rules of the server.
//!
//! Architecture invariant: no panic reaches C. Every entry from Kamailio goes through
//! `kamailio::entry::guard`; a function that panics answers "allow" and is counted.
//!
//! Architecture invariant: memory is fixed at start. Nothing grows with traffic, and Kamailio's own
//! shared memory is never touched.
//!
//! Architecture invariant: a ban or a whitelist entry matches exactly, by its whole address, never by
//! a hash.
//!
//! ## Face
//!
//! * `lib.rs`: this map.
//! * `module.rs`: every name that Kamailio sees, on one page: functions, parameters, commands,
//!   pseudo-variables, statistics, life cycle. To add one, begin there.
//!
//! ## Glue
//!
//! * `node.rs`: this Kamailio as one node: its rules and its tables. `node/build.rs`: put together in
//!   `mod_init`. `node/counts.rs`: what it counts. `node/words.rs`: its reasons and names.
//! * `check.rs`: one request, start to finish. `offences.rs`: what a script reports, and what follows.
//! * `content.rs`: what a request says of itself: its User-Agent, its user. `directory.rs`: which
//!   extensions there are.
//! * `script.rs`: what a script orders, `sec_count`, and the arguments of all functions.
//! * `orders.rs`: a ban, an unban, an entry: checked against what must not happen, and written down.
//! * `networks.rs`: the same for whole networks: orders that the agent carries out.
//! * `lists.rs`: the static whitelist and the networks, as a request is looked up in them.
//! * `files.rs`: regular files, read with a bound, replaced as a whole.
//! * `meters.rs`: the counters of one source. `memory.rs`: what was decided about this message.
//! * `commands.rs`: the RPC commands. `listings.rs`: those that page. `report.rs`: `sec.status`.
//! * `feeds.rs`: `sec.feeds`. `explain.rs`: `sec.explain`. `top.rs`: `sec.top`, and the book that it reads.
//! * `faults.rs`: what goes wrong on purpose, in the build that tests need.
//! * `event_routes.rs`: the process that runs the script's routes for bans and unbans.
//! * `agent/mod.rs`: the agent's life: events in, ticks, sweeps.
//! * `agent/supervisor.rs`: its parent.
//! * `agent/journal.rs`: the one voice: the log line of each change.
//! * `agent/networks.rs`: lists published, files read anew. `books.rs`: what orders and keys do to the
//!   books of networks. `book.rs`: one of them.
//! * `agent/link.rs`: the connection to Redis. `answers.rs`: what it says.
//! * `agent/feeds.rs`: the feeds, fetched when they are due and put into one map.
//!   `agent/subscription.rs`: one of them. `agent/fetch.rs`: its list, from a file or over HTTP.
//!   `agent/apiban.rs`: APIBAN's pages. `agent/copies.rs`: the last good copies.
//! * `agent/metrics.rs`: statistics, pushed to statsd and Graphite.
//! * `agent/blocklist.rs`: the bans that hold, for others. `agent/export.rs`: as a file.
//!   `agent/firewall.rs`: in sets of nftables, through the program that `agent/nft.rs` runs.
//! * `agent/extensions.rs`: the names of extensions put together and published. `sets.rs`: those in
//!   Redis.
//! * `agent/replica.rs`: what the keys in Redis say, taken over into the ledger and the books.
//! * `agent/outbox.rs`: what this node changed, on its way to Redis. `agent/waiting.rs`: whose turn it
//!   is.
//! * `agent/keys.rs`: the names and values of those keys.
//! * `agent/evidence.rs`: who offended, taken down so that a ban can be explained.
//! * `agent/rdns.rs`: reverse DNS, which ends the waiting of those who are held.
//!   `agent/names.rs`: the addresses of DNS names in the whitelist. `agent/resolver.rs`: the DNS client.
//! * `agent/state.rs`: the file in which a node without Redis remembers. `agent/remembered.rs`: its
//!   lines.
//!
//! * `bin/sec-replay.rs`: a program for operators, which runs the rules over captured traffic.
//!   `replay/mod.rs`: its course. It puts a `node` of its own together and needs no Kamailio.
//!   `replay/options.rs`: its command line. `replay/configuration.rs`: the `modparam` lines of a
//!   configuration, from `replay/tokens.rs`. `replay/capture.rs`, `replay/frame.rs`, `replay/sip.rs`: from a file
//!   to packets, datagrams, messages. `replay/survey.rs`: what is in a capture. `replay/server.rs`: the
//!   rules in the time of the packets. `replay/findings.rs`: what came out, shown by
//!   `replay/table.rs`, `replay/timeline.rs` and `replay/calendar.rs`; `replay/unknown.rs` says what is not known.
//!
//! ## Border to Kamailio
//!
//! * `kamailio/mod.rs`: what the glue may use of it.
//! * `kamailio/sys.rs`: the raw bindings that `build.rs` made from the host's headers.
//! * `kamailio/entry.rs`: `exports`, `mod_register`, the guard.
//! * `kamailio/script.rs`, `kamailio/kemi.rs`: functions for the native language and for KEMI, from
//!   one list.
//! * `kamailio/params.rs`, `kamailio/pv.rs`, `kamailio/rpc.rs`, `kamailio/counters.rs`: parameters,
//!   pseudo-variables, commands, statistics.
//! * `kamailio/message.rs`: the SIP message, read only.
//! * `kamailio/events.rs`: routes of the script for events of ours.
//! * `kamailio/sockets.rs`: the server's own addresses.
//! * `kamailio/process.rs`: processes and their signals.
//! * `kamailio/pipe.rs`: records between processes, never torn, never waited for.
//! * `kamailio/log.rs`, `kamailio/clock.rs`, `kamailio/str.rs`: log, the one clock, C strings.
//!
//! ## Border to shared memory
//!
//! * `shared/mod.rs`: what is true of all of it.
//! * `shared/region.rs`: the mapping.
//! * `shared/sync.rs`: the atomics: of the standard library, or of loom in its models.
//! * `shared/hash.rs`: keyed hashes.
//! * `shared/rates.rs`: a word for each source and limit; also the counters of `sec_count`.
//! * `shared/ledger/mod.rs`: a record for each address with a state of its own.
//!   `slot.rs`: one record and the protocol by which it changes. `ban.rs`, `lookup.rs`: a ban, and what
//!   reverse DNS said, as words of it. `bucket.rs`: finding, making, giving
//!   way. `strikes.rs`, `users.rs`: what two of its words mean. `offenders.rs`: offences, added to them. `sweep.rs`: the agent's round.
//!   `census.rs`: what that round counted. `ceilings.rs`: what a source may send by itself.
//!   `mutes.rs`: users that are muted at an address. `guesses.rs`: at extensions.
//!   `provenance.rs`: where a ban and an entry come from.
//!   `denials.rs`: how often a source was refused. `listing.rs`: the records one by one.
//!   `pending.rs`: what Redis does not know yet. `mirror.rs`: what Redis said. `model.rs`: the models
//!   for loom.
//! * `shared/snapshot/mod.rs`: lists that all processes read and only the agent writes, in two arenas.
//!   `writer.rs`: the agent's side. `prefixes.rs`, `networks.rs`: prefix maps, and networks that are
//!   banned or whitelisted, as words. `model.rs`: the models for loom.
//! * `shared/events.rs`: records for the pipe to the agent.
//! * `shared/statistics.rs`: a row of counters for each process.
//! * `shared/status.rs`: the mode, and the agent's signs of life.
//! * `shared/words.rs`: the script's own reasons, and the fleet's nodes, each once.
//! * `shared/line.rs`: a few bytes that one process writes and others read. `shared/hosts.rs`: names
//!   that reverse DNS gave. `shared/names.rs`: names in the whitelist, and their addresses.
//!   `shared/feeds.rs`: how the feeds are.
//! * `shared/evidence.rs`: the last offences of each offender.
//! * `shared/notes.rs`: short texts from the agent for `sec.status`.
//! * `shared/exploration.rs`: how the models for loom are run.
//!
//! Architecture invariant: everything in shared memory is a word of atomics. No lock, no pointer, no
//! heap type; zeros are the valid empty state.
//!
//! ## Pure
//!
//! * [`engine::decide`]: the rules in their order. [`engine::facts`]: what they are told.
//!   [`engine::policy`]: what the operator wants. [`engine::lookup`]: the exception of reverse DNS.
//!   [`engine::verdict`]: what they answer.
//! * [`gcra`]: the arithmetic of a limit.
//! * [`request`]: what may be asked of a request, wherever it comes from. [`credentials`]: whom it
//!   says to log in as.
//! * [`source`]: who is charged: an IPv4 address, or an IPv6 prefix.
//! * [`cidr`]: prefixes from text (`prefix.rs`), and maps that find the longest one: flattened
//!   (`segments.rs`), built (`map.rs`), looked up (`table.rs`). `blocks.rs`: prefixes that do not
//!   overlap, with gaps taken out.
//! * [`extension`]: does a user exist here, or at least resemble one that does? Masks of a dial plan
//!   (`mask.rs`); names from text (`name.rs`), their lists (`names.rs`, `table.rs`), and how similar
//!   two are (`similarity.rs`, with `bag.rs` to look at few); all lists together (`union.rs`), as far
//!   as they are whole (`shrinkage.rs`).
//! * [`feed`]: lists of hostile addresses, from bytes to a map: what they look like (`format.rs`),
//!   what is never taken from one (`guard.rs`), the reading (`reading.rs`, `apiban.rs`), copies of
//!   them (`copy.rs`), and all of them in one map (`merge.rs`).
//! * [`domain`]: a DNS name, and whether it lies in another.
//! * [`user_agents`]: the patterns of scanners.
//! * [`config`]: from `modparam` lines to a checked configuration. `parameters.rs`: the one list
//!   (`parameter.rs`: of what). `value.rs`, `compound.rs`, `list.rs`: what a value, a compound value
//!   and a list file may be. `rate.rs`, `bans.rs`, `whitelist.rs`, `redis.rs`, `rdns.rs`,
//!   `agents.rs`, `extensions.rs`, `extension_key.rs`, `feeds.rs`, `metrics.rs`, `outlets.rs`: setters
//!   of more than a few lines.
//!
//! # Dependencies
//!
//! Few, and each for one thing. In `sec.so`:
//!
//! * `aho-corasick`: all patterns of User-Agents in one pass.
//! * `libc`: `mmap`, `clock_gettime`, `fork`, pipes.
//! * `siphasher`: SipHash-1-3 under keys of our own, of 64 and of 128 bits.
//! * `tokio`: the agent's one thread; nothing of it is touched before the agent is forked.
//! * `hickory-resolver`: the agent's DNS client, without its own ideas of where the name server is.
//! * `redis`: the client of the agent, with `rustls` (and `ring`) for `rediss://`.
//! * `serde_json`: the values of bans in Redis, and feeds in JSON.
//! * `ureq`: feeds over HTTP, in a thread of the agent: small, without a runtime of its own, and it
//!   bounds redirects, time and the unpacked size. `rustls-native-certs`: whom it trusts, which is whom
//!   the system trusts, as for Redis.
//!
//! nftables are changed through the program `nft`, run by tokio, and not through netlink: libnftables
//! turns prefixes into the intervals of a set, and how it does so is no interface that lasts; it needs
//! the same right; an operator can type what it was told; and the crates that speak nftables are
//! either bindings to C libraries or cover no intervals. A fill of 20,000 addresses takes it a tenth of
//! a second.
//!
//! To build: `bindgen` reads the headers of the Kamailio that is installed, `cc` compiles the inline
//! functions that only C can say, and `object` reads from a stock module what the host was compiled with.
//! To test: `proptest` for properties, `loom` for every interleaving of the shared tables, `ipnet` as
//! the second opinion on prefixes, `nix`, `socket2`, `tempfile`, `md5` for a real Kamailio and phones.
//! A nightly compiler's sanitizers look on in `make sanitize`, which no other target needs.
//!
//! # Where it differs from the first design
//!
//! What replaced a structure that was planned, and why.
//!
//! * **Tolerance of a limit.** Planned was window − T, with T = window / limit rounded down to a tick;
//!   it is (limit − 1) · T. Where the division is exact the two are equal. Where it is not, the first
//!   would let more than `limit` of a burst pass. Nobody within the limit is over all the same: let k
//!   requests be charged since the debt was last nothing, at times t₁ … tₖ, and the next, at t, be over.
//!   Then t − t₁ < (k − limit + 1) · T. But if no window holds more than `limit`, any `limit` + 1 of them
//!   in a row span at least a window, which is `limit` · T or more. With k = q · limit + r, r < limit, the
//!   last q · limit + 1 span q windows: t − t₁ ≥ q · limit · T = (k − r) · T ≥ (k − limit + 1) · T. A
//!   property test in [`gcra`] holds it against an exact log.
//! * **Buckets in the ledger** instead of open addressing by probing. Sixteen records make a bucket,
//!   and their sixteen 16-bit fingerprints lie in a directory of their own. A source without a state,
//!   which is nearly everybody, costs one read of half a cache line, whatever the table holds; and who
//!   gives way in a full bucket is decided among sixteen, not along a chain.
//! * **Merged duplicates** instead of a search for a free place and a second look. Two processes that
//!   insert one key at the same time may leave two records; readers take all records of a key together,
//!   and both fade.
//! * **Ceilings in the ledger.** The ceiling of a whitelisted or trusted source is a word of its
//!   record, which is in the cache already, instead of a word in the rate table.
//! * **Strikes in five quarters** of the window, in one word: no timer, no list of times. They cover
//!   one window at least and a quarter more at most.
//! * **The whitelist's share** is a quarter of the ledger, counted by the sweep and by whoever adds an
//!   entry. Entries are never evicted; a new one beyond the share is refused.

#[cfg(not(loom))]
mod agent;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use agent::fuzzed;
#[cfg(not(loom))]
mod check;
pub mod cidr;
#[cfg(not(loom))]
mod commands;
pub mod config;
#[cfg(not(loom))]
mod content;
pub mod credentials;
#[cfg(not(loom))]
mod directory;
pub mod domain;
pub mod engine;
#[cfg(not(loom))]
mod event_routes;
#[cfg(not(loom))]
mod explain;
pub mod extension;
#[cfg(all(feature = "fault-injection", not(loom)))]
mod faults;
pub mod feed;
#[cfg(not(loom))]
mod feeds;
#[cfg(not(loom))]
mod files;
pub mod gcra;
// The models of loom reach no host; its build needs neither Kamailio nor libclang.
#[cfg(not(loom))]
pub mod kamailio;
#[cfg(not(loom))]
mod listings;
#[cfg(not(loom))]
mod lists;
#[cfg(not(loom))]
mod memory;
#[cfg(not(loom))]
mod meters;
#[cfg(not(loom))]
pub mod module;
#[cfg(not(loom))]
mod networks;
#[cfg(not(loom))]
mod node;
#[cfg(not(loom))]
mod offences;
#[cfg(not(loom))]
mod orders;
#[cfg(not(loom))]
pub mod replay;
#[cfg(not(loom))]
mod report;
pub mod request;
#[cfg(not(loom))]
mod script;
pub mod shared;
pub mod source;
#[cfg(not(loom))]
mod top;
pub mod user_agents;
