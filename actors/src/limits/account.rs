//! What one payer may request over all of its sessions. A payer is a user, or all anonymous users of
//! one address.
//!
//! Some requests turn out to cost more than was known when they were accepted, such as one with a
//! large answer. The rest is charged afterwards, so an account can be in debt, and its next requests
//! are refused until the debt is paid. Any thread may charge an account: its state is a few atomics.
//! Charging happens deep inside the encoding of answers, and rarely, so an account has a clock for
//! that alone; all other methods take the time as an argument.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::HashMap;

use super::usage::{Heavy, Usage, Used};
use super::{Rate, Refused};
use crate::clock::{Clock, Mono};

#[cfg(test)]
mod tests;

/// The longest time that a debt takes to pay, whatever was requested: 30 s, in ns.
const MOST_DEBT: u64 = 30_000_000_000;
/// The least number of sessions that are opened between two cleanings.
const UNCLEANED: usize = 1024;
/// While nearly the maximum of entities is awake, an account may keep awake its own limit divided by
/// this.
const SCARCE: usize = 16;

/// How much room is left for entities that are awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Ample,
    /// Little: the rest is reserved for payers that keep few entities awake.
    Scarce,
}

/// What one account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests. Large answers and heavy ops count as several.
    pub requests: Rate,
    /// Entities that it may wake.
    pub wakes: Rate,
    /// Entities that it may keep awake at once.
    pub awake: usize,
}

/// A token bucket that can be overdrawn. It holds the time at which it is full again, in ns.
#[derive(Debug, Default)]
struct Tab(AtomicU64);

impl Tab {
    fn check(&self, rate: Rate, cost: u32, now: u64) -> Result<(), Refused> {
        if cost > rate.burst.get() {
            return Err(Refused::TooBig { burst: rate.burst.get() });
        }
        self.take(rate, cost, now).map_err(Refused::RetryAfter)
    }

    /// Takes tokens, not more than a full bucket holds, or says after which time they are there.
    fn take(&self, rate: Rate, cost: u32, now: u64) -> Result<(), Duration> {
        let price = time(rate, cost);
        let most = now.saturating_add(time(rate, rate.burst.get()));
        let pay = |full: u64| Some(full.max(now) + price).filter(|full| *full <= most);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay) {
            Ok(_) => Ok(()),
            Err(full) => Err(Duration::from_nanos((full.max(now) + price).saturating_sub(most))),
        }
    }

    /// Takes tokens, into debt, unless the debt is more than so many full buckets already; then it
    /// says after which time it no longer is.
    fn begin(&self, rate: Rate, cost: u32, buckets: u32, now: u64) -> Result<(), Duration> {
        let bucket = time(rate, rate.burst.get());
        let most = now.saturating_add(bucket.saturating_mul(u64::from(buckets) + 1));
        let begin = |full: u64| (full <= most).then(|| overdrawn(full, rate, cost, now));
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, begin) {
            Ok(_) => Ok(()),
            Err(full) => Err(Duration::from_nanos(full - most)),
        }
    }

    fn charge(&self, rate: Rate, cost: u32, now: u64) {
        self.change(|full| overdrawn(full, rate, cost, now));
    }

    fn refund(&self, rate: Rate, cost: u32) {
        self.change(|full| full.saturating_sub(time(rate, cost)));
    }

    fn change(&self, change: impl Fn(u64) -> u64) {
        // It cannot fail, because the closure never returns `None`.
        let _ =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full| Some(change(full)));
    }

    fn is_full(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

/// When a bucket is full again that would be at `full`, once `cost` more tokens are taken, into debt.
fn overdrawn(full: u64, rate: Rate, cost: u32, now: u64) -> u64 {
    let most = now.saturating_add(time(rate, rate.burst.get())).saturating_add(MOST_DEBT);
    full.max(now).saturating_add(time(rate, cost)).min(most)
}

/// How long `tokens` take to come back, in ns.
fn time(rate: Rate, tokens: u32) -> u64 {
    u64::from(tokens) * 1_000_000_000 / u64::from(rate.per_second.get())
}

/// One payer's account.
#[derive(Debug)]
pub struct Account {
    /// Whose it is.
    holder: Holder,
    allowance: Allowance,
    /// For what is charged.
    clock: Clock,
    requests: Tab,
    wakes: Tab,
    awake: AtomicUsize,
    usage: Usage,
    heavy: Arc<Heavy>,
}

impl Account {
    fn new(holder: Holder, allowance: Allowance, clock: Clock, heavy: Arc<Heavy>) -> Self {
        Self {
            holder,
            allowance,
            clock,
            requests: Tab::default(),
            wakes: Tab::default(),
            awake: AtomicUsize::new(0),
            usage: Usage::default(),
            heavy,
        }
    }

    /// Counts what was taken, for other nodes.
    fn used(&self, cost: u32) {
        if let Holder::User(user) = &self.holder {
            self.usage.add(&self.heavy, user, self.allowance.requests, cost);
        }
    }

    /// Its rate of requests.
    pub fn rate(&self) -> Rate {
        self.allowance.requests
    }

    /// Takes `cost` tokens for a request, or none.
    ///
    /// # Errors
    /// Says when the tokens will be available, or that they never will.
    pub fn request(&self, cost: u32, now: Mono) -> Result<(), Refused> {
        self.requests.check(self.allowance.requests, cost, now.nanos())?;
        self.used(cost);
        Ok(())
    }

    /// Takes `cost` tokens for work that is about to begin, even if the account has too few: whoever
    /// is let in with one request may begin, however much it costs. Only an account that is already
    /// in debt, by more than `buckets` full buckets, has to wait.
    ///
    /// # Errors
    /// The time after which the work may begin; nothing was taken.
    pub fn begin(&self, cost: u32, buckets: u32, now: Mono) -> Result<(), Duration> {
        self.requests.begin(self.allowance.requests, cost, buckets, now.nanos())?;
        self.used(cost);
        Ok(())
    }

    /// Takes `cost` tokens for what a request turned out to cost, even if the account has too few.
    pub fn charge(&self, cost: u32) {
        self.requests.charge(self.allowance.requests, cost, self.clock.mono().nanos());
        self.used(cost);
    }

    /// Entities that it keeps awake.
    pub fn awake(&self) -> usize {
        self.awake.load(Ordering::Relaxed)
    }

    /// Whether it keeps so many entities awake that other payers should take some over.
    fn is_pressed(&self) -> bool {
        self.awake() >= self.allowance.awake / 2
    }

    fn wake(&self, space: Space, now: u64) -> Result<(), NotWoken> {
        let most = match space {
            Space::Ample => self.allowance.awake,
            Space::Scarce => (self.allowance.awake / SCARCE).max(1),
        };
        let more = |awake: usize| (awake < most).then_some(awake + 1);
        self.awake
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map_err(|_| NotWoken::TooMany)?;
        // A burst is at least 1.
        self.wakes.take(self.allowance.wakes, 1, now).map_err(|after| {
            self.let_go();
            NotWoken::TooFast(after)
        })
    }

    fn let_go(&self) {
        self.awake.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_rested(&self, now: u64) -> bool {
        self.requests.is_full(now) && self.wakes.is_full(now) && self.awake() == 0
    }
}

/// Why an account may not wake an entity now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWoken {
    /// It woke too many in a short time; it may wake one after this time.
    TooFast(Duration),
    /// It keeps as many awake as it may.
    TooMany,
}

/// Who pays for a session: its user, and the address that it comes from. Anonymous users pay as
/// their address.
#[derive(Debug, Clone)]
pub struct Payer {
    own: Arc<Account>,
    /// None for anonymous users: it is `own`.
    address: Option<Arc<Account>>,
}

impl Payer {
    /// The account that requests are paid from.
    pub fn account(&self) -> &Account {
        &self.own
    }

    /// The user, unless it is anonymous, and the address, with which another node finds the accounts
    /// that it has for them.
    pub fn names(&self) -> (Option<Arc<str>>, IpAddr) {
        let of = |account: &Account| account.holder.clone();
        match (of(&self.own), self.address.as_deref().map(of)) {
            (Holder::User(user), Some(Holder::Address(address))) => (Some(user), address),
            (Holder::Address(address), _) => (None, address),
            (Holder::User(user), _) => (Some(user), IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)),
        }
    }

    /// Pays for waking an entity and, as long as the result lives, for keeping it awake.
    ///
    /// # Errors
    /// Says why it may not; nothing was paid in that case.
    pub fn wake(&self, space: Space, now: Mono) -> Result<KeptAwake, NotWoken> {
        self.own.wake(space, now.nanos())?;
        if let Some(address) = &self.address
            && let Err(not) = address.wake(space, now.nanos())
        {
            self.own.let_go();
            self.own.wakes.refund(self.own.allowance.wakes, 1);
            return Err(not);
        }
        Ok(KeptAwake(self.clone()))
    }
}

/// Counts an entity among those that a payer keeps awake.
#[derive(Debug)]
pub struct KeptAwake(Payer);

impl KeptAwake {
    /// Lets `other`, who also uses the entity, keep it awake if this payer has many and the other one
    /// has few: nobody should pay for ever for a room that others are in.
    pub fn offer(&mut self, other: &Payer) {
        if Arc::ptr_eq(&self.0.own, &other.own)
            || !self.0.own.is_pressed()
            || other.own.is_pressed()
        {
            return;
        }
        let parts = [Some(&other.own), other.address.as_ref()];
        for account in parts.into_iter().flatten() {
            account.awake.fetch_add(1, Ordering::Relaxed);
        }
        *self = Self(other.clone());
    }
}

impl Drop for KeptAwake {
    fn drop(&mut self) {
        self.0.own.let_go();
        if let Some(address) = &self.0.address {
            address.let_go();
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    User(Arc<str>),
    Address(IpAddr),
}

/// Everybody's accounts. One for all threads.
///
/// An account without sessions and debts is as good as a new one, so it is forgotten: from time to
/// time opening an account also cleans up.
#[derive(Debug)]
pub struct Accounts {
    user: Allowance,
    address: Allowance,
    clock: Clock,
    heavy: Arc<Heavy>,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    accounts: HashMap<Holder, Arc<Account>>,
    until_cleaning: usize,
}

impl Accounts {
    /// No accounts yet. `user` is the allowance of each user. `address` limits what all sessions of
    /// an address may wake together, and is the allowance of its anonymous users, who count as one.
    pub fn new(user: Allowance, address: Allowance) -> Self {
        Self {
            user,
            address,
            clock: Clock::REAL,
            heavy: Arc::default(),
            open: Mutex::new(Open { accounts: HashMap::default(), until_cleaning: UNCLEANED }),
        }
    }

    /// The same limits for everybody.
    pub fn alike(allowance: Allowance) -> Self {
        Self::new(allowance, allowance)
    }

    /// The same accounts, charged by this clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Who pays for a session of `user` from `address`; without a user it is anonymous.
    pub fn payer(&self, user: Option<&Arc<str>>, address: IpAddr, now: Mono) -> Payer {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clean_if_due(now);
        let mut account =
            |holder, allowance| open.account(holder, allowance, (&self.clock, &self.heavy));
        match user {
            Some(user) => Payer {
                own: account(Holder::User(Arc::clone(user)), self.user),
                address: Some(account(Holder::Address(address), self.address)),
            },
            None => Payer { own: account(Holder::Address(address), self.address), address: None },
        }
    }

    /// The users who have used more than a quarter of their limit since this was last called, to be
    /// called once a second: at most `most` of them, the heaviest first.
    pub fn heaviest(&self, most: usize) -> Vec<Used> {
        let (report, users) = self.heavy.next();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let used = |user| {
            let tokens = open.accounts.get(&Holder::User(Arc::clone(&user)))?.usage.of(report);
            Some(Used { user, tokens })
        };
        let mut all: Vec<_> = users.into_iter().filter_map(used).collect();
        drop(open);
        all.sort_unstable_by_key(|used| std::cmp::Reverse(used.tokens));
        all.truncate(most);
        all
    }

    /// Another node reports what a user has used there. A user without sessions here is not charged.
    pub fn used_elsewhere(&self, used: &Used, now: Mono) {
        let holder = Holder::User(Arc::clone(&used.user));
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = open.accounts.get(&holder) {
            account.requests.charge(account.allowance.requests, used.tokens, now.nanos());
        }
    }

    /// Accounts remembered now.
    pub fn len(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).accounts.len()
    }

    /// Whether no account is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Open {
    fn account(
        &mut self,
        holder: Holder,
        allowance: Allowance,
        (clock, heavy): (&Clock, &Arc<Heavy>),
    ) -> Arc<Account> {
        if let Some(account) = self.accounts.get(&holder) {
            return Arc::clone(account);
        }
        let account = Account::new(holder.clone(), allowance, clock.clone(), Arc::clone(heavy));
        let account = Arc::new(account);
        self.accounts.insert(holder, Arc::clone(&account));
        account
    }

    /// Opening a session's accounts adds at most two, so counting openings bounds them without a
    /// timer.
    fn clean_if_due(&mut self, now: Mono) {
        self.until_cleaning -= 1;
        if self.until_cleaning == 0 {
            self.clean(now.nanos());
        }
    }

    fn clean(&mut self, now: u64) {
        self.accounts
            .retain(|_, account| Arc::strong_count(account) > 1 || !account.is_rested(now));
        self.accounts.shrink_to_fit();
        self.until_cleaning = self.accounts.len().max(UNCLEANED);
    }
}
