//! What a worker shows: whether its clusters answer, and where its partitions stand.

use super::run::Worker;
use crate::clock;
use crate::runtime::input::WorkerInput;
use crate::runtime::lifecycle::RunEvent;
use std::sync::atomic::Ordering;

impl Worker {
    /// A cluster is out of reach when the reader or the writer says so; told when it changes. The writer is always
    /// asked, for that is when it looks for its brokers.
    pub(in crate::runtime) fn watch_connection(&mut self) {
        let of_writer = self.writer.disconnected();
        let lost = self.reader_lost.clone().or(of_writer);
        let disconnected = lost.is_some();
        if std::mem::replace(&mut self.disconnected, disconnected) == disconnected {
            return;
        }
        if self.shared.progress.disconnected.swap(disconnected, Ordering::Relaxed) != disconnected {
            self.shared
                .tell(lost.map_or(RunEvent::Connected, |reason| RunEvent::Disconnected { reason }));
        }
    }

    pub(in crate::runtime) fn tell_positions(&mut self) {
        let mut behind = 0;
        for input in &mut self.inputs {
            let WorkerInput::Kafka(member) = input else { continue };
            let Some(reader) = &member.reader else { continue };
            for position in reader.positions() {
                let Some(metrics) = member.partitions.get(&position.partition) else {
                    continue;
                };
                let lag = position.end.map_or(0, |end| (end - position.next).max(0));
                behind += lag;
                metrics.lag.set(lag as f64);
                metrics.current.set(position.next as f64);
                if let Some(committed) = position.committed {
                    metrics.committed.set(committed as f64);
                }
                if let Some(time) = member.idleness.time(&position.partition) {
                    let known = (time.watermark > i64::MIN).then(|| clock::wall_ms() - time.watermark);
                    let lag = known.map(|ms| ms as f64 / 1000.0);
                    metrics.time(lag, time.is_idle, member.idleness.holds(&position.partition));
                }
            }
        }
        self.shared
            .progress
            .lag
            .fetch_add(behind - self.lag_told, Ordering::Relaxed);
        self.lag_told = behind;
        self.owned.tell(&self.shared.pipeline.name);
    }
}
