package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"s3gate/tokens"
)

// Tries counts tries at passcodes over all gates; [tokens.Store] is one. It
// must be safe for concurrent use, and its errors are those of package tokens.
type Tries interface {
	// Try counts a try before the passcode is compared.
	Try(ctx context.Context, id tokens.ID) (*tokens.Try, error)
}

// Passcodes compares passcodes with their hashes, which is made to be slow: a
// few at a time, the same one once, and one that was right is remembered, so
// that the ranges of a player do not cost a hash each. It is safe for
// concurrent use.
type Passcodes struct {
	tries   Tries
	key     []byte // of this process: what is remembered is worth nothing elsewhere
	slots   chan struct{}
	flights singleflight.Group

	mu            sync.Mutex
	recent, older map[mark]struct{}
}

// mark stands for a token and a passcode.
type mark [sha256.Size]byte

const (
	// maxMarks bounds how many passcodes are remembered.
	maxMarks = 1 << 12
	// slotWait is how long a passcode waits for others to be compared, which
	// on a machine that is not overloaded take tens of milliseconds.
	slotWait = 30 * time.Second
)

// NewPasscodes compares passcodes whose tries are counted by t.
func NewPasscodes(t Tries) *Passcodes {
	p := &Passcodes{
		tries: t, key: make([]byte, sha256.Size), recent: map[mark]struct{}{},
		slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	rand.Read(p.key)
	return p
}

// What is wrong with the passcode of a request.
var (
	errNoPasscode    = errors.New("passcode is missing")
	errWrongPasscode = errors.New("wrong passcode")
)

// check returns nil if text is the passcode of the grant, errWrongPasscode if
// not, and otherwise why that cannot be said.
func (p *Passcodes) check(ctx context.Context, g *tokens.Grant, text string) error {
	if p == nil {
		return fmt.Errorf("%w: passcodes are not configured", tokens.ErrUnproven)
	}
	m := p.mark(g.ID, text)
	if p.remembers(m) {
		return nil
	}
	// Who asks the same at the same time gets the same answer, for one try. It
	// belongs to all of them, so nobody's leaving ends it.
	_, err, _ := p.flights.Do(string(m[:]), func() (any, error) {
		if p.remembers(m) {
			return nil, nil // somebody else's answer came in between
		}
		return nil, p.compare(context.WithoutCancel(ctx), g, text, m)
	})
	return err
}

func (p *Passcodes) compare(ctx context.Context, g *tokens.Grant, text string, m mark) error {
	// Counted before they queue up: of one token there are never more in the
	// queue than may be tried.
	try, err := p.tries.Try(ctx, g.ID)
	if err != nil {
		return err
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-time.After(slotWait):
		_ = try.Passed(ctx) // nobody has learned anything
		return fmt.Errorf("%w: too many passcodes to compare", tokens.ErrUnproven)
	}
	if !g.Passcode.Matches(text) {
		return errWrongPasscode
	}
	p.remember(m)
	// It was right whatever Redis says: at worst one try too many is counted.
	_ = try.Passed(ctx)
	return nil
}

func (p *Passcodes) mark(id tokens.ID, text string) mark {
	h := hmac.New(sha256.New, p.key)
	io.WriteString(h, string(id)+"\n"+text)
	return mark(h.Sum(nil))
}

func (p *Passcodes) remembers(m mark) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.recent[m]; ok {
		return true
	}
	_, ok := p.older[m]
	return ok
}

// remember keeps a mark. A token's passcode does not change, so a mark needs
// no end but that of the space.
func (p *Passcodes) remember(m mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.recent) >= maxMarks/2 {
		p.older, p.recent = p.recent, map[mark]struct{}{}
	}
	p.recent[m] = struct{}{}
}

// passcodeHeader carries a passcode; HTTP Basic does too.
const passcodeHeader = "X-S3gate-Passcode"

// givenPasscode returns the passcode that a request carries in its headers,
// "" if none.
func givenPasscode(r *http.Request) string {
	if text := r.Header.Get(passcodeHeader); text != "" {
		return text
	}
	_, password, _ := r.BasicAuth()
	return password
}

// checkPasscode holds what the request carries against the grant.
func (x *exchange) checkPasscode(ctx context.Context) error {
	text := givenPasscode(x.r)
	if text == "" {
		return errNoPasscode
	}
	return x.h.Passcodes.check(ctx, x.grant(), text)
}

// challengeAuth says with a 401 how a passcode may be given (RFC 9110, section
// 11.6.1; RFC 7617). For a browser that gets the page it names a scheme that
// no browser knows, since Basic would put a dialog before the page.
func challengeAuth(h http.Header, page bool) {
	if page {
		h.Set("WWW-Authenticate", `S3gate-Passcode realm="s3gate"`)
		return
	}
	h.Set("WWW-Authenticate", `Basic realm="s3gate", charset="UTF-8"`)
}
