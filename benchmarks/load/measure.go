package main

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// client is a session, its operation and what became of it.
type client struct {
	*session
	operation operation
	latencies []time.Duration
	moved     int64
	finished  time.Time
	err       error
}

// measure runs the row's operations with one client for each token, each beginning its next operation when the last is done. ready
// is called when everything is warm and returns when to begin; measured is called at the end of the measured part. An
// operation that was begun in time is finished and counted, and the time goes to the end of the last one.
func measure(b *bench, operation func(client int) operation, ready func() error, measured func()) (Result, error) {
	clients := make([]*client, len(b.Tokens))
	deadline := b.deadline()
	for n := range clients {
		session, err := b.connect(n, deadline)
		if err != nil {
			return Result{}, err
		}
		defer session.Close()
		clients[n] = &client{session: session, operation: operation(n), latencies: make([]time.Duration, 0, 1<<14)}
	}
	if b.WarmSeconds > 0 {
		if err := together(clients, time.Now().Add(duration(b.WarmSeconds))); err != nil {
			return Result{}, err
		}
	}
	for _, c := range clients {
		c.latencies, c.moved, c.requests = c.latencies[:0], 0, 0
	}
	if err := ready(); err != nil {
		return Result{}, err
	}
	cpu := cpuSeconds()
	start := time.Now()
	if err := together(clients, start.Add(duration(b.Seconds))); err != nil {
		return Result{}, err
	}
	cpu = cpuSeconds() - cpu
	measured()
	result := summary(clients, start)
	result.CPU = cpu
	return result, audit(b, clients, deadline)
}

// together lets all clients work until the time is over or one of them fails.
func together(clients []*client, end time.Time) error {
	var failed atomic.Bool
	var working sync.WaitGroup
	for _, c := range clients {
		working.Add(1)
		go func() {
			defer working.Done()
			if c.err = c.work(end, &failed); c.err != nil {
				failed.Store(true)
			}
		}()
	}
	working.Wait()
	var errs []error
	for _, c := range clients {
		errs = append(errs, c.err)
	}
	return errors.Join(errs...)
}

// work does at least one operation.
func (c *client) work(end time.Time, failed *atomic.Bool) error {
	for begin := time.Now(); ; begin = c.finished {
		moved, err := c.operation.run(c.session)
		if err != nil {
			return err
		}
		c.finished = time.Now()
		c.latencies = append(c.latencies, c.finished.Sub(begin))
		c.moved += moved
		if !c.finished.Before(end) || failed.Load() {
			return nil
		}
	}
}

func summary(clients []*client, start time.Time) Result {
	var result Result
	var all []time.Duration
	last := start
	for _, c := range clients {
		all = append(all, c.latencies...)
		result.Bytes += c.moved
		result.Requests += c.requests
		result.Reconnects += c.Reconnects
		if c.finished.After(last) {
			last = c.finished
		}
	}
	slices.Sort(all)
	result.Operations = len(all)
	result.Seconds = last.Sub(start).Seconds()
	result.P50, result.P95, result.P99 = percentile(all, 50), percentile(all, 95), percentile(all, 99)
	result.Slowest = percentile(all, 100)
	return result
}

// percentile is the smallest latency that at least that many in a hundred do not exceed (nearest rank), in seconds.
func percentile(sorted []time.Duration, hundredths int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*hundredths + 99) / 100
	return sorted[max(rank, 1)-1].Seconds()
}

// audit reads again, on a connection of its own, the last thing that each client pushed: an answer that promises is not
// proof that something was stored. Of large blobs one is enough.
func audit(b *bench, clients []*client, deadline time.Time) error {
	var s *session
	for n, c := range clients {
		pushed, found := c.operation.(audited)
		if _, large := c.operation.(*largePush); !found || large && n > 0 {
			continue
		}
		if s == nil {
			var err error
			if s, err = b.connect(0, deadline); err != nil {
				return err
			}
			defer s.Close()
		}
		if err := pushed.audit(s); err != nil {
			return err
		}
	}
	return nil
}

// cpuSeconds is the processor time that this process has used.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // not for this process itself
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}
