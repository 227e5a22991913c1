//! Executions of handlers: told something, broken now and then, standing still, killed, and ended.

use super::*;

impl Sim {
    pub(super) fn receive(&mut self) {
        let first = self.random.below(7) as usize;
        for place in 0..7 {
            let function = FunctionName::ALL[(first + place) % 7];
            let Some(delivery) = now(self.queue.receive(function, 1, VISIBILITY)).unwrap().pop() else {
                continue;
            };
            return match serde_json::from_str::<Event>(&delivery.body) {
                Ok(event) => self.invoke(function, event, Some(delivery)),
                Err(error) => {
                    self.note(format!("{function} cannot read a message: {error}"));
                    now(self.queue.release(&delivery.receipt, Span::seconds(30))).unwrap();
                }
            };
        }
    }

    pub(super) fn invoke(&mut self, function: FunctionName, event: Event, delivery: Option<Delivery>) {
        self.invocations += 1;
        let (plan, pacer, skew) = self.draw_faults();
        let world = self.faulty_world(&plan, &pacer, skew);
        let number = self.invocations;
        let label = event_label(&event);
        self.note(format!("#{number} {function} told {label} clock {skew:?}"));
        let handler = Box::pin(async move { invoke(&world, function, &event).await });
        let began_at = self.clock_now();
        let invocation = Invocation {
            number,
            function,
            delivery,
            plan,
            pacer,
            handler,
            began_at,
            goes_on_at: began_at,
            logged: 0,
        };
        self.poll(invocation);
    }

    fn draw_faults(&mut self) -> (Arc<FaultPlan>, Arc<Pacer>, SignedDuration) {
        let temper = self.scenario.temper;
        let random = &mut self.random;
        if self.calm {
            return (FaultPlan::quiet(), Pacer::new(BTreeSet::new()), SignedDuration::ZERO);
        }
        let now = self.clock.as_ref();
        let now = holdfast_core::ports::Clock::now(now);
        let mut faults = BTreeMap::new();
        if now < self.throttled_until {
            let refusal = Fault::Refuse(*random.pick(&[FailureKind::Throttled, FailureKind::Transient]));
            let first = 1 + random.below(20);
            faults.extend(
                (first..first + 400)
                    .filter(|_| random.chance(0.5))
                    .map(|call| (call, refusal)),
            );
        }
        while random.chance(temper.fault) {
            let depth = *random.pick(&[8, 25, 80, 200]);
            faults.insert(1 + random.below(depth), *random.pick(&Fault::ALL));
        }
        let mut pauses = BTreeSet::new();
        while random.chance(temper.pause) {
            let depth = *random.pick(&[8, 25, 80, 200]);
            pauses.insert(1 + random.below(depth));
        }
        let skew = if temper.skew { random.below(240) as i64 - 120 } else { 0 };
        (
            FaultPlan::scripted(faults),
            Pacer::new(pauses),
            SignedDuration::from_secs(skew),
        )
    }

    /// Lets an execution go on until it ends, stands still, or dies.
    pub(super) fn poll(&mut self, mut invocation: Invocation) {
        let (function, now) = (invocation.function, self.clock_now());
        let resources: Vec<ResourceId> = self
            .scenario
            .resources
            .iter()
            .map(|resource| resource.id.clone())
            .collect();
        self.ledger
            .before(&self.catalog, &resources, function, invocation.number, now);
        invocation.pacer.go_on();
        let polled = invocation
            .handler
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        self.note_calls(&mut invocation);
        let began = self.watched.take_began();
        for task in began {
            let line = format!("  #{} began {:?}", invocation.number, task.order);
            self.note(line);
            self.check_began(invocation.function, invocation.number, &task);
        }
        let number = invocation.number;
        match polled {
            Poll::Ready(result) => self.ended(invocation, result),
            Poll::Pending if invocation.pacer.take_paused() => {
                let rest = *self.random.pick(&[0, 0, 1, 20, 90]);
                invocation.goes_on_at = Span::seconds(rest).after(self.clock_now());
                self.note(format!("  #{number} stands still for {rest} s"));
                self.standing_still.push(invocation);
            }
            Poll::Pending => {
                self.note(format!("  #{number} was killed"));
                self.ledger.forget(number);
                self.wake_soon(invocation.function);
                if self.random.chance(0.3) {
                    self.note("  and the engine with it");
                    self.engine.crash();
                }
            }
        }
    }

    fn note_calls(&mut self, invocation: &mut Invocation) {
        if self.verbose {
            for call in &invocation.plan.log()[invocation.logged..] {
                self.note(format!("    #{} {call}", invocation.number));
            }
        }
        invocation.logged = invocation.plan.calls() as usize;
    }

    fn ended(&mut self, invocation: Invocation, result: Result<(), Failure>) {
        let Invocation {
            number,
            function,
            delivery,
            began_at,
            plan,
            ..
        } = invocation;
        let is_refusal = delivery
            .as_ref()
            .is_some_and(|delivery| delivery.body.contains(" Requested\",\"detail\":{\"request\""));
        self.ledger.forget(number);
        let calls = plan.calls();
        match &result {
            Ok(()) => self.note(format!("  #{number} did it in {calls} calls")),
            Err(failure) => self.note(format!(
                "  #{number} failed after {calls} calls: {:?} {failure}",
                failure.kind
            )),
        }
        if result.is_ok() && function == FunctionName::Scheduler {
            self.ledger.schedulers.push(began_at);
        }
        if let Err(failure) = &result {
            assert!(
                failure.kind != FailureKind::Bug,
                "{function} says that Holdfast itself is wrong: {failure}"
            );
        }
        if let Some(delivery) = delivery {
            let done = match &result {
                Ok(()) => self.queue.acknowledge(&delivery.receipt),
                Err(failure) => {
                    let delay = if failure.kind == FailureKind::Conflict { 0 } else { 20 };
                    self.queue.release(&delivery.receipt, Span::seconds(delay))
                }
            };
            now(done).unwrap();
            if result.is_err() && delivery.receive_count >= MAX_RECEIVES {
                self.ledger.given_up.push(delivery.body);
            }
        }
        self.wake_soon(function);
        if let Err(failure) = result
            && began_at > self.calm_since
            && !is_refusal
            && failure.kind != FailureKind::Conflict
        {
            self.ledger
                .calm_failures
                .push(format!("at {began_at} {function}: {failure}"));
        }
    }
}

fn event_label(event: &Event) -> String {
    serde_json::to_string(&event.detail).unwrap()
}
