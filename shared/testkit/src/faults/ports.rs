//! The decorators, one a port.

use async_trait::async_trait;
use holdfast_core::domain::{ActOrder, Answer, Event, Failure, FunctionName, Probe, Seen, Span};
use holdfast_core::ports::{
    Actuators, Bus, Catalog, DeadLetter, Delivery, Draft, Engine, Entry, EvidenceStore, Inserted, Key, Keys,
    Observation, Page, Pager, Probes, Queue, Signature, Task,
};
use jiff::Timestamp;

use super::Faulty;

#[async_trait]
impl Catalog for Faulty<dyn Catalog> {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        let Key { partition, sort } = key;
        self.through(format!("catalog.get {partition}/{sort}"), self.inner.get(key))
            .await
    }

    async fn insert(&self, draft: Draft) -> Result<Inserted, Failure> {
        let Key { partition, sort } = draft.key.clone();
        let call = format!("catalog.insert {partition}/{sort}");
        self.through(call, self.inner.insert(draft)).await
    }

    async fn replace(&self, draft: Draft, expected: u64) -> Result<(), Failure> {
        let Key { partition, sort } = draft.key.clone();
        let call = format!("catalog.replace {partition}/{sort} version {expected}");
        self.through(call, self.inner.replace(draft, expected)).await
    }

    async fn list(&self, partition: &str, prefix: &str) -> Result<Vec<Entry>, Failure> {
        let effect = self.inner.list(partition, prefix);
        self.through(format!("catalog.list {partition}/{prefix}"), effect).await
    }

    async fn last(&self, partition: &str, prefix: &str) -> Result<Option<Entry>, Failure> {
        let effect = self.inner.last(partition, prefix);
        self.through(format!("catalog.last {partition}/{prefix}"), effect).await
    }

    async fn waking(&self, status: &str, by: Timestamp) -> Result<Vec<Entry>, Failure> {
        let effect = self.inner.waking(status, by);
        self.through(format!("catalog.waking {status} by {by}"), effect).await
    }
}

#[async_trait]
impl Queue for Faulty<dyn Queue> {
    async fn send(&self, queue: FunctionName, body: &str, delay: Span) -> Result<(), Failure> {
        let effect = self.inner.send(queue, body, delay);
        self.through(format!("queue.send {queue} {body} after {delay}"), effect)
            .await
    }

    async fn receive(&self, queue: FunctionName, most: usize, visibility: Span) -> Result<Vec<Delivery>, Failure> {
        let effect = self.inner.receive(queue, most, visibility);
        self.through(format!("queue.receive {queue}"), effect).await
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), Failure> {
        let effect = self.inner.acknowledge(receipt);
        self.through(format!("queue.acknowledge {receipt}"), effect).await
    }

    async fn release(&self, receipt: &str, delay: Span) -> Result<(), Failure> {
        let effect = self.inner.release(receipt, delay);
        self.through(format!("queue.release {receipt} after {delay}"), effect)
            .await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Failure> {
        self.through("queue.dead_letters".to_owned(), self.inner.dead_letters())
            .await
    }
}

#[async_trait]
impl Bus for Faulty<dyn Bus> {
    async fn publish(&self, event: &Event) -> Result<(), Failure> {
        let effect = self.inner.publish(event);
        self.through(format!("bus.publish {:?}", event.detail), effect).await
    }
}

#[async_trait]
impl Pager for Faulty<dyn Pager> {
    async fn page(&self, page: &Page) -> Result<(), Failure> {
        self.through(format!("pager.page {}", page.key), self.inner.page(page))
            .await
    }
}

#[async_trait]
impl Keys for Faulty<dyn Keys> {
    async fn wrap(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, Failure> {
        self.through(format!("keys.wrap for {context}"), self.inner.wrap(plain, context))
            .await
    }

    async fn unwrap(&self, wrapped: &[u8], context: &str) -> Result<Vec<u8>, Failure> {
        let effect = self.inner.unwrap(wrapped, context);
        self.through(format!("keys.unwrap for {context}"), effect).await
    }

    async fn sign(&self, message: &[u8]) -> Result<Signature, Failure> {
        self.through("keys.sign".to_owned(), self.inner.sign(message)).await
    }

    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<bool, Failure> {
        self.through("keys.verify".to_owned(), self.inner.verify(message, signature))
            .await
    }
}

#[async_trait]
impl EvidenceStore for Faulty<dyn EvidenceStore> {
    async fn put(&self, name: &str, document: &[u8]) -> Result<(), Failure> {
        self.through(format!("evidence.put {name}"), self.inner.put(name, document))
            .await
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.through(format!("evidence.get {name}"), self.inner.get(name)).await
    }

    async fn list(&self) -> Result<Vec<String>, Failure> {
        self.through("evidence.list".to_owned(), self.inner.list()).await
    }
}

#[async_trait]
impl Engine for Faulty<dyn Engine> {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        let call = format!(
            "engine.start {} {}/{}",
            task.order.kind().as_str(),
            task.job,
            task.attempt
        );
        self.through(call, self.inner.start(task)).await
    }

    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        let call = format!(
            "engine.observe {} {}/{}",
            task.order.kind().as_str(),
            task.job,
            task.attempt
        );
        self.through(call, self.inner.observe(task)).await
    }
}

#[async_trait]
impl Actuators for Faulty<dyn Actuators> {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let call = format!("actuators.begin {} {}", order.act.as_str(), order.on.name());
        self.through(call, self.inner.begin(order)).await
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let call = format!("actuators.look {} {}", order.act.as_str(), order.on.name());
        self.through(call, self.inner.look(order)).await
    }
}

#[async_trait]
impl Probes for Faulty<dyn Probes> {
    async fn ask(&self, probe: &Probe) -> Result<Answer, Failure> {
        self.through("probes.ask".to_owned(), self.inner.ask(probe)).await
    }
}
