package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"s3gate/internal/gate"
)

// inherited are the sockets that whoever has started this process keeps open for it
// (sd_listen_fds(3)), by name; none if that is nobody. It may be called once.
func inherited() (map[string]net.Listener, error) {
	files := activation.Files(true)
	sockets := map[string]net.Listener{}
	for _, f := range files {
		l, err := net.FileListener(f)
		_ = f.Close() // l has its own
		if err != nil {
			return nil, fmt.Errorf("%w %q: %w", gate.ErrSocket, f.Name(), err)
		}
		if sockets[f.Name()] != nil {
			return nil, fmt.Errorf("%w %q: there are two of that name", gate.ErrSocket, f.Name())
		}
		sockets[f.Name()] = l
	}
	return sockets, nil
}

// notify tells the service manager how this process is (sd_notify(3)), if there is one
// that asks.
func notify(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("the service manager was not told", "err", err)
	}
}

// reloading says that settings are being read again. READY=1 ends it.
func reloading(logger *slog.Logger) {
	notify(logger, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
}

// keepAlive tells the service manager until ctx is done that this process still runs, if
// it wants to know (WatchdogSec=): twice as often as it asks for.
func keepAlive(ctx context.Context, logger *slog.Logger) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return
	}
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		notify(logger, daemon.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
