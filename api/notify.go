package api

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"s3gate/auth"
	"s3gate/tokens"
)

// Notifier sends messages to those who want them; [events.Topic] is one. What it
// sends it keeps nowhere. It must be safe for concurrent use.
type Notifier interface {
	Tell(ctx context.Context, subject, message string) error
}

// What a message may be. SNS takes 100 characters of subject (Amazon SNS API,
// "Publish").
const (
	maxMessage     = 4 << 10
	maxMailSubject = 100
	urlMark        = "{url}"
	notifyTimeout  = 5 * time.Second
)

// checkNotify says what is wrong with what a mint asks to be sent; nothing is if
// it asks for nothing.
func checkNotify(n *Notify, topics map[string]Notifier) error {
	if *n == (Notify{}) {
		return nil
	}
	if topics[n.Topic] == nil {
		return &tokens.FieldError{Field: "notify.topic", Problem: "is not an alias of a topic that may carry links"}
	}
	if len(n.Message) > maxMessage || !utf8.ValidString(n.Message) {
		return &tokens.FieldError{Field: "notify.message", Problem: fmt.Sprintf("must be at most %d bytes of UTF-8, got %d", maxMessage, len(n.Message))}
	}
	if n.Message != "" && !strings.Contains(n.Message, urlMark) {
		return &tokens.FieldError{Field: "notify.message", Problem: "must hold " + urlMark + ", for which the link is put"}
	}
	if len(n.Subject) > maxMailSubject || strings.ContainsFunc(n.Subject, func(r rune) bool { return r < ' ' || r > '~' }) {
		return &tokens.FieldError{Field: "notify.subject", Problem: fmt.Sprintf("must be at most %d characters of printable ASCII", maxMailSubject)}
	}
	return nil
}

// notify holds the topic against what one rule gives.
func (w *wish) notify(a *auth.Allowance) error {
	if w.topic != "" && !slices.Contains(a.Notify, w.topic) {
		return denied("notify.topic", "%q is not permitted to the bearer JWT", clip(w.topic))
	}
	return nil
}

// notified is the part of a mint's answer that says whether the message was sent;
// nil where none was asked for.
type notified struct {
	Notified bool `json:"notified"`
	// NotNotified says why not. The token is there all the same.
	NotNotified string `json:"not_notified,omitempty"`
}

// notify sends a link. It comes after the mint, which it cannot undo. The link is a
// secret, so it is sent before the answer or never.
func (h *Handler) notify(c *call, n *Notify, link string, g *tokens.Grant) *notified {
	if n.Topic == "" {
		return nil
	}
	message := n.Message
	if message == "" {
		message = urlMark
	}
	ctx, cancel := context.WithTimeout(c.Context(), notifyTimeout)
	defer cancel()
	err := h.cfg.Topics[n.Topic].Tell(ctx, n.Subject, strings.ReplaceAll(message, urlMark, link))
	if err == nil {
		return &notified{Notified: true}
	}
	h.cfg.Logger.LogAttrs(c.Context(), slog.LevelWarn, "a link was not sent",
		slog.String("token", string(g.ID)), slog.String("topic", n.Topic), slog.String("err", clean(err.Error(), link)))
	if ctx.Err() != nil {
		return &notified{NotNotified: "The topic did not answer in time. The message may or may not have been sent."}
	}
	return &notified{NotNotified: "The topic did not take the message; the gate's log says why."}
}

// clean takes a link out of what goes to the log, in case that repeats what was
// sent.
func clean(text, link string) string { return strings.ReplaceAll(text, link, "LINK") }
