package devs3

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Running is a [Server] with a listener of its own.
type Running struct {
	*Server
	// URL is the endpoint, such as http://127.0.0.1:40123.
	URL string

	http *http.Server
	done chan error
}

// Start opens cfg.Dir and serves plain HTTP on addr, a loopback address such as
// 127.0.0.1:0, until Close.
func Start(cfg Config, addr string) (*Running, error) {
	server, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		server.Close()
		return nil, fmt.Errorf("starting devs3: %w", err)
	}
	r := &Running{
		Server: server,
		URL:    "http://" + l.Addr().String(),
		http: &http.Server{
			Handler:           server,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			ErrorLog:          slog.NewLogLogger(server.log.Handler(), slog.LevelDebug),
		},
		done: make(chan error, 1),
	}
	go func() { r.done <- r.http.Serve(l) }()
	return r, nil
}

// Close cuts all connections, waits for their requests to end, and gives the
// directory back.
func (r *Running) Close() error {
	err := r.http.Close()
	if served := <-r.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	r.done <- http.ErrServerClosed // for another Close
	return errors.Join(err, r.Server.Close())
}
