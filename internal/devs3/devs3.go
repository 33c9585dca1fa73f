// Package devs3 is the S3 that `s3gate dev` and the tests run against: one
// [Server], an [http.Handler], with its objects as files in a local directory.
//
// It is faithful where s3gate depends on it: SigV4 in headers, query strings
// and form uploads; payload hashes, checksums and aws-chunked bodies; ranges,
// conditions and multipart uploads; keys byte for byte; bucket policies that are
// evaluated, with the condition keys a real request carries; and the settings
// that a bucket is audited for. A new bucket has none of those, as one had before
// 2023: what is missing can be found and set. Public access is blocked as far as
// there is any without ACLs, answers tell of default encryption while the data
// stays as it came, and nothing acts on a lifecycle. Server access logs are
// delivered after seconds.
//
// Most of the protocol is spoken by github.com/rclone/gofakes3, which also
// verifies the signatures of requests; those of forms and chunks are verified
// here. Nothing that s3gate signs with takes part.
//
// The invariants: a body becomes an object only if all of it came and it is
// what the request declared it to be; a reader sees one version whole; what is
// not supported is refused with 501 NotImplemented, never done as something
// else.
//
// It has one region, one account, path-style addresses only, and no ACLs,
// temporary credentials, encryption or CORS. It is no store for production:
// nothing is fsynced, and the index of all keys is in memory.
package devs3

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/rclone/gofakes3"

	"s3gate/internal/devs3/disk"
	"s3gate/policy"
)

// Account is the one account that every user and bucket belongs to.
const Account = "000000000000"

// Config says what a [Server] serves, and to whom.
type Config struct {
	// Dir holds the objects; it is created if need be. What is in it from an
	// earlier server, however that ended, is served again, except multipart
	// uploads in progress, which are dropped. One server has it at a time. It
	// must not be in use for anything else.
	Dir string
	// Region is the only one requests may be signed for; empty means
	// us-east-1.
	Region string
	// Users maps access keys to those who sign with them. Without users
	// there are only anonymous requests, which only a bucket policy allows.
	Users map[string]User
	// LogDelay is how long server access logs wait before they are delivered to
	// their bucket; 0 means 5 seconds.
	LogDelay time.Duration
	// Logger hears of every request at debug level and of every internal
	// failure at error level; nil discards.
	Logger *slog.Logger
}

// User is somebody who can sign requests. Every user may do everything with
// objects and list buckets, unless a bucket policy denies it.
type User struct {
	Secret string
	// Name makes the user's ARN: arn:aws:iam::000000000000:user/NAME.
	Name string
	// Admin may also create and delete buckets, set their policies, and see and
	// change their other settings. No policy can keep an admin from the bucket policy itself: as with the
	// root user of an account, nobody locks themselves out.
	Admin bool
	// Policy is the user's identity-based policy, whose statements name everybody
	// as principal, since they have none: what it does not allow is refused. Nil
	// allows all that is said above.
	Policy *policy.Document
}

// Server is an S3 endpoint. It starts no goroutines of its own but a timer while
// access logs wait for delivery.
type Server struct {
	region   string
	users    map[string]User
	log      *slog.Logger
	store    *disk.Store
	policies policies
	protocol http.Handler

	accessLogs accessLogs

	running sync.RWMutex // held for reading by every request
	closed  bool
}

// Open reads cfg.Dir and returns a server ready to serve. It fails with
// [disk.ErrInUse] while another server has the directory, and with
// [disk.ErrForeign] if something else does.
func Open(cfg Config) (*Server, error) {
	log := cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	store, err := disk.Open(cfg.Dir, log)
	if err != nil {
		return nil, fmt.Errorf("opening devs3: %w", err)
	}
	s := &Server{
		region:   cmp.Or(cfg.Region, "us-east-1"),
		users:    cfg.Users,
		log:      log,
		store:    store,
		policies: policies{store: store},
	}
	s.accessLogs = accessLogs{
		store: store, log: log, delay: cmp.Or(cfg.LogDelay, logDelay), turn: s.whileOpen, region: s.region,
		pending: map[destination]*bytes.Buffer{},
	}
	s.protocol = gofakes3.New(&backend{s},
		gofakes3.WithoutVersioning(),
		gofakes3.WithTimeSkewLimit(0),     // authenticate has checked the time
		gofakes3.WithMetadataSizeLimit(0), // userMetadata has checked the size
		gofakes3.WithLogger(protocolLog{log}),
	).Server()
	return s, nil
}

// Close waits for the requests being served, delivers access logs, and gives the
// directory back.
// Shut the listener and its connections first: a client that stalls in the
// middle of a request holds Close up. Requests that come later get 503.
func (s *Server) Close() error {
	s.running.Lock()
	defer s.running.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.accessLogs.close()
	return s.store.Close()
}

// whileOpen does something that is no request.
func (s *Server) whileOpen(do func()) {
	s.running.RLock()
	defer s.running.RUnlock()
	if !s.closed {
		do()
	}
}

// ServeHTTP answers one S3 request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.running.RLock()
	defer s.running.RUnlock()
	x := newExchange(s, w, r)
	defer x.close()
	if err := x.serve(); err != nil {
		x.w.fail(err)
	}
	x.w.finish()
	if !s.closed {
		x.logAccess()
	}
}

// protocolLog hands what gofakes3 reports as broken on to slog; the rest of its
// chatter names URLs, and with them signatures.
type protocolLog struct{ log *slog.Logger }

func (l protocolLog) Print(level gofakes3.LogLevel, v ...any) {
	if level == gofakes3.LogErr {
		l.log.Error("serving S3 request", "err", fmt.Sprint(v...))
	}
}
