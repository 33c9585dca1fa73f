package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

func (b *bench) memoryWork() *work {
	w := &work{
		name: "memory", title: "memory of open slow downloads", peer: nginxPlain,
		how: fmt.Sprintf("Clients with the smallest receive buffers open downloads of %s and then read %d bytes a second. "+
			"The number is what the processes' resident memory has grown by, for each download. "+
			"A process is fresh for each round, since memory that one has taken is seldom given back. PSS is the same "+
			"with pages that several processes share counted by their share.", size(b.large), slowBytes),
	}
	for _, n := range b.slow {
		aims := []aim{{gateOnly, 1.5, 48}}
		w.metrics = append(w.metrics, metric{name: "RSS at " + thousands(n), unit: "KiB/download", aims: aims},
			metric{name: "PSS at " + thousands(n), unit: "KiB/download", aside: true})
	}
	w.prepare = func(ctx context.Context) ([]contender, error) {
		if most := uint64(b.slow[len(b.slow)-1]); b.maxFiles < 2*most+1000 {
			return nil, fmt.Errorf("open files: %d downloads take %d in one process, at most %d may be open here", most, 2*most+1000, b.maxFiles)
		}
		return b.slowContenders(ctx)
	}
	return w
}

// slowContenders starts what stays, and sees that each contender answers rightly.
func (b *bench) slowContenders(ctx context.Context) ([]contender, error) {
	var all []contender
	for _, name := range []string{gateOnly, nginxLua, nginxPlain, haproxyPlain} {
		all = append(all, contender{name: name, measure: func(ctx context.Context) ([]float64, error) {
			var values []float64
			err := b.afresh(func() error {
				t, err := b.target(ctx, name, smallObject, b.small, false)
				if err != nil {
					return err
				}
				large, err := b.unverified(ctx, name, largeObject, false)
				if err != nil {
					return err
				}
				large.size = b.large
				values, err = b.slowDownloads(ctx, t, large)
				return err
			})
			return values, err
		}})
	}
	return all, nil
}

// afresh lets f start every subject anew, and ends those; upstream and Redis stay.
func (b *bench) afresh(f func() error) error {
	kept, mark := b.cast, len(b.processes)
	b.cast, b.quiet = map[string]*server{}, true
	for _, name := range []string{"the upstream", "redis"} {
		if kept[name] != nil {
			b.cast[name] = kept[name]
		}
	}
	defer func() {
		b.cast, b.quiet = kept, false
		b.end(mark)
	}()
	return f()
}

// slowDownloads opens more and more of them, after some small ones, and returns the
// memory that each takes in KiB.
func (b *bench) slowDownloads(ctx context.Context, warm, t *target) ([]float64, error) {
	if _, err := warm.closedLoop(ctx, b.clients, 100); err != nil {
		return nil, err
	}
	pids := t.servers[0].pids()
	resident, proportional, err := memoryOf(pids)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &slowClients{target: t}
	defer func() { cancel(); s.group.Wait() }()
	var values []float64
	for _, n := range b.slow {
		if err := s.open(ctx, n); err != nil {
			return nil, err
		}
		if err := pause(ctx, b.settle); err != nil {
			return nil, err
		}
		nowResident, nowProportional, err := memoryOf(pids)
		if err != nil {
			return nil, err
		}
		if ended := s.ended.Load(); ended > 0 {
			return nil, fmt.Errorf("%d of %d slow downloads have ended", ended, n)
		}
		kib := float64(n) * 1024
		values = append(values, float64(nowResident-resident)/kib, float64(nowProportional-proportional)/kib)
	}
	return values, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

const (
	slowBytes   = 256     // a client reads in a second
	slowBuffer  = 4 << 10 // of the kernel, for what it has not read
	slowOpeners = 64      // downloads that are opened at a time
)

// slowClients are downloads that get on hardly.
type slowClients struct {
	*target
	group   errgroup.Group
	running int
	ended   atomic.Int64 // before they should
}

// open opens downloads until n run.
func (s *slowClients) open(ctx context.Context, n int) error {
	var opening errgroup.Group
	opening.SetLimit(slowOpeners)
	for ; s.running < n; s.running++ {
		opening.Go(func() error {
			c, err := s.begin(ctx)
			if err != nil {
				return err
			}
			s.group.Go(func() error { s.trickle(ctx, c); return nil })
			return nil
		})
	}
	return opening.Wait()
}

// begin asks for the object and reads the head of the answer.
func (s *slowClients) begin(ctx context.Context) (*connection, error) {
	c, err := dial(ctx, s.servers[0].addr, nil)
	if err != nil {
		return nil, err
	}
	c.in = bufio.NewReaderSize(c.Conn, 1<<10)
	tcp := c.Conn.(*net.TCPConn)
	if err := errors.Join(tcp.SetReadBuffer(slowBuffer), tcp.SetLinger(0), c.ask(s.request(1), s.size)); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// trickle reads until ctx is done.
func (s *slowClients) trickle(ctx context.Context, c *connection) {
	defer c.close()
	buffer := make([]byte, slowBytes)
	for ctx.Err() == nil {
		if _, err := c.in.Read(buffer); err != nil && ctx.Err() == nil {
			s.ended.Add(1)
			return
		}
		pause(ctx, time.Second)
	}
}
