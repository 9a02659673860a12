//! What is known of a part of a log, and how two parts merge.
//!
//! All are whole numbers, and sums of them: in whatever order parts are merged, the result is the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{histogram::Histogram, hour::Hour, line::Request, paths::Paths, popular::Popular};

/// How many hours are told apart: the latest ones.
const MOST_HOURS: usize = 1000;

#[derive(Default, Serialize, Deserialize)]
pub struct Summary {
    /// Lines that say nothing.
    pub malformed: u64,
    pub statuses: BTreeMap<u16, Volume>,
    pub hours: BTreeMap<Hour, Histogram>,
    /// Requests in earlier hours.
    pub earlier: u64,
    pub paths: Paths,
}

/// How much there was of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub requests: u64,
    pub bytes: u64,
}

/// What there is to know of the requests for a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub volume: Volume,
    /// How many were answered by a status from 400 to 499, ...
    pub client_errors: u64,
    /// ... and from 500 on.
    pub server_errors: u64,
    pub latency: Histogram,
}

impl Summary {
    /// Takes in a line of the log; `None` if that is too long to be looked at.
    #[inline]
    pub fn add(&mut self, line: Option<&[u8]>, popular: &Popular) {
        let Some(request) = line.and_then(Request::parse) else {
            self.malformed += 1;
            return;
        };
        let status = self.statuses.entry(request.status).or_default();
        status.add(request.bytes);
        self.hours
            .entry(request.hour)
            .or_default()
            .add(request.micros);
        self.limit_hours();
        self.paths.add(&request, popular);
    }

    pub fn merge(&mut self, other: Summary) {
        self.malformed += other.malformed;
        for (status, volume) in other.statuses {
            self.statuses.entry(status).or_default().merge(volume);
        }
        self.earlier += other.earlier;
        for (hour, latency) in other.hours {
            self.hours.entry(hour).or_default().merge(&latency);
            self.limit_hours();
        }
        self.paths.merge(other.paths);
    }

    #[inline]
    fn limit_hours(&mut self) {
        if self.hours.len() > MOST_HOURS
            && let Some((_, latency)) = self.hours.pop_first()
        {
            self.earlier += latency.count();
        }
    }

    pub fn total(&self) -> Volume {
        let mut total = Volume::default();
        self.statuses
            .values()
            .for_each(|volume| total.merge(*volume));
        total
    }
}

impl Volume {
    fn add(&mut self, bytes: u64) {
        self.merge(Volume { requests: 1, bytes });
    }

    fn merge(&mut self, other: Volume) {
        self.requests += other.requests;
        // A log may claim anything; as long as all stop at the same number, the order does not matter.
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Traffic {
    #[inline]
    pub fn add(&mut self, request: &Request<'_>) {
        self.volume.add(request.bytes);
        self.client_errors += u64::from((400..500).contains(&request.status));
        self.server_errors += u64::from(request.status >= 500);
        self.latency.add(request.micros);
    }

    pub fn merge(&mut self, other: &Traffic) {
        self.volume.merge(other.volume);
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
        self.latency.merge(&other.latency);
    }
}
