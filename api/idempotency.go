package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"s3gate/tokens"
)

const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed"
	maxKey         = 255
)

// idempotencyKey reads the caller's name for a request that may come again; ""
// if it has none.
func (c *call) idempotencyKey() (string, error) {
	values := c.Header.Values(keyHeader)
	if len(values) == 0 {
		return "", nil
	}
	bad := func(problem string, args ...any) (string, error) {
		return "", &headerError{keyHeader, fmt.Sprintf(problem, args...)}
	}
	key := values[0]
	switch {
	case len(values) > 1:
		return bad("is given twice")
	case key == "" || len(key) > maxKey:
		return bad("must have 1 to %d bytes, got %d", maxKey, len(key))
	}
	for _, b := range []byte(key) {
		if b < ' ' || b > '~' {
			return bad("must be printable US-ASCII")
		}
	}
	return key, nil
}

// headerError is what is wrong with a header of the request.
type headerError struct{ name, problem string }

func (e *headerError) Error() string { return e.name + ": " + e.problem }

// fresh stands for random tokens.
func fresh(int) tokens.Token { return tokens.Token{} }

// sealed is an answer to a mint without what it must not be kept with: the
// token. Whoever can derive that opens it.
type sealed struct {
	// Tail is what follows the token in the URL.
	Tail string `json:"tail,omitempty"`
	// Answer has neither token nor URL.
	Answer json.RawMessage `json:"answer"`
}

// noSecrets begins an answer that is sealed.
var noSecrets = []byte(`{"token":"","url":"",`)

func seal(m minted, tail string) (sealed, error) {
	m.Token, m.URL = "", ""
	raw, err := marshal(m)
	if err == nil && !bytes.HasPrefix(raw, noSecrets) {
		err = errors.New("a mint's answer that does not begin with its token")
	}
	return sealed{tail, raw}, err
}

// open puts the token back.
func (s sealed) open(publicURL string, t tokens.Token) (json.RawMessage, error) {
	rest, ok := bytes.CutPrefix(s.Answer, noSecrets)
	if !ok {
		return nil, errors.New("a kept answer that cannot be read")
	}
	secrets, err := marshal(struct {
		Token string `json:"token"`
		URL   string `json:"url"`
	}{t.Reveal(), publicURL + "/" + t.Reveal() + s.Tail})
	if err != nil {
		return nil, err
	}
	return append(append(secrets[:len(secrets)-1], ','), rest...), nil
}

// marshal writes JSON as answers have it.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("writing an answer: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// nameless is why a caller's key is refused: others who are nobody in particular
// would share it.
func (c *call) nameless() error {
	// Administrators without an issuer are those who have the gate's own key.
	if c.caller.Subject == "" || c.caller.Issuer == "" && !c.caller.Admin {
		return &headerError{keyHeader, "belongs to a caller, and the bearer JWT lacks iss or sub"}
	}
	return nil
}

// once answers a request that may have a key. With one, mint is called only if
// the request was not answered before, and gets the tokens that it shall mint;
// what it returns is kept, and opened the same way now and later. What is
// asked for says it with the name of the call. An answer that was kept is opened
// only if may, which asks for the caller's right to mint it, returns nil.
func (h *Handler) once(c *call, name string, asked any, may func() error, mint func(token func(i int) tokens.Token) ([]sealed, []tokens.Token, error)) ([]json.RawMessage, error) {
	key, err := c.idempotencyKey()
	if err != nil {
		return nil, err
	}
	if key == "" {
		answers, given, err := mint(fresh)
		if err != nil {
			return nil, err
		}
		return h.openAll(answers, func(i int) tokens.Token { return given[i] })
	}
	if err := c.nameless(); err != nil {
		return nil, err
	}
	body, err := marshal(struct {
		Call  string `json:"call"`
		Asked any    `json:"asked"`
	}{name, asked})
	if err != nil {
		return nil, err
	}
	r, err := h.cfg.Tokens.Reserve(c.Context(), tokens.Request{Issuer: c.caller.Issuer, Subject: c.caller.Subject, Key: key, Body: body})
	if err != nil {
		return nil, err
	}
	if r.Answer == nil {
		if r.Answer, err = answerFirst(c, r, mint); err != nil {
			return nil, err
		}
	} else if err := may(); err != nil {
		return nil, err
	} else {
		c.w.Header().Set(replayedHeader, "true")
	}
	var kept []sealed
	if err := json.Unmarshal(r.Answer, &kept); err != nil {
		return nil, fmt.Errorf("reading a kept answer: %w", err)
	}
	return h.openAll(kept, r.Token)
}

// answerFirst mints under a reservation, and ends it.
func answerFirst(c *call, r *tokens.Reservation, mint func(func(int) tokens.Token) ([]sealed, []tokens.Token, error)) ([]byte, error) {
	answers, _, err := mint(r.Token)
	if err != nil {
		var part *partError
		var half *reissueError // goes on with the same successor
		if errors.Is(err, tokens.ErrUnproven) || errors.As(err, &part) || errors.As(err, &half) {
			r.Leave(c.Context())
		} else {
			r.Abandon(c.Context())
		}
		return nil, err
	}
	raw, err := marshal(answers)
	if err != nil {
		return nil, err
	}
	return r.Finish(c.Context(), raw)
}

func (h *Handler) openAll(answers []sealed, token func(int) tokens.Token) ([]json.RawMessage, error) {
	opened := make([]json.RawMessage, len(answers))
	for i, s := range answers {
		var err error
		if opened[i], err = s.open(h.cfg.PublicURL, token(i)); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

// seal makes the answer to a mint.
func (h *Handler) seal(t tokens.Token, g *tokens.Grant, replaces *replaced, told *notified) (sealed, error) {
	link := h.link(t, g)
	return seal(minted{
		Method: method(g.Operation), Grant: *g, uploadParameters: parametersOf(g), notified: told, Durability: h.cfg.Member.Durability(), Replaces: replaces,
	}, link[len(h.cfg.PublicURL)+1+len(t.Reveal()):])
}

// etag is the name of a grant's version: what is counted changes without it.
func etag(version int64) string { return fmt.Sprintf(`"%d"`, version) }

// created adds the headers of an answer that has minted one token.
func (c *call) created(id tokens.ID) int {
	c.w.Header().Set("Location", "/v1/tokens/"+string(id))
	c.w.Header().Set("ETag", etag(1))
	return http.StatusCreated
}
