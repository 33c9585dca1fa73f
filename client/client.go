// Package client is the Go client of s3gate's API.
//
// An application that hands out links needs three lines:
//
//	c := client.New("https://gate.internal:8090", jwt)
//	t, err := c.Mint(ctx, client.MintRequest{Operation: "get", Bucket: "docs", Key: "report.pdf"})
//	fmt.Println(t.URL)
//
// What is sent and answered are the types of the API's document, openapi.yaml,
// from which they are generated; a gate serves it with examples and as a page
// (/docs). A field that a gate of a later version has answered is ignored.
package client

//go:generate go run ../internal/apigen codegen.yaml

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Client calls the API of one gate. It is safe for concurrent use.
type Client struct {
	base   string
	bearer string
	// HTTP sends the requests; New sets one with a timeout of 30 s that does
	// not follow redirects, since the API has none and whoever sends one could
	// have the bearer sent over plain HTTP.
	HTTP *http.Client
}

// New returns a client of the API at base, such as https://gate:8090, that
// authenticates with a bearer JWT.
func New(base, bearer string) *Client {
	return &Client{
		base: strings.TrimSuffix(base, "/"), bearer: bearer,
		HTTP: &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

const redacted = "s3gate API client"

// Format hides the bearer, and what else may be in the URL, from every verb.
func (c *Client) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue does the same for logs.
func (c *Client) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format writes the ID for every verb.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, t.ID) }

// LogValue is the ID.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.ID) }

// ListQuery selects tokens. Zero fields select all.
type ListQuery struct {
	// Subject, Bucket, and the Issuer and subject (IssuedBy) of the JWT that has
	// minted it are equal; Prefix begins the key; State is what has become of it.
	Subject, Issuer, IssuedBy, Bucket, Prefix, State string
	// Labels are all there, with these values.
	Labels map[string]string
	// ExpiresFrom is the earliest time at which it expires, and ExpiresBefore is
	// later than that time; to the millisecond.
	ExpiresFrom, ExpiresBefore time.Time
	Limit                      int    // tokens in a page; 0 means the gate's default
	Cursor                     string // from Page.Next; "" begins
}

// values are the parameters of the call.
func (q *ListQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"subject": q.Subject, "issuer": q.Issuer, "issued_by": q.IssuedBy,
		"bucket": q.Bucket, "prefix": q.Prefix, "state": q.State, "cursor": q.Cursor,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.Labels)) {
		v.Add("label", name+"="+q.Labels[name])
	}
	for name, t := range map[string]time.Time{"expires_from": q.ExpiresFrom, "expires_before": q.ExpiresBefore} {
		if !t.IsZero() {
			v.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

func (e *Error) Error() string {
	text := strings.TrimSuffix(cmp.Or(e.Detail, e.Title, http.StatusText(e.Status)), ".")
	if e.RequestID == "" {
		return fmt.Sprintf("%s (HTTP %d)", text, e.Status)
	}
	return fmt.Sprintf("%s (HTTP %d, request %s)", text, e.Status, e.RequestID)
}

// Mint makes a token. Text that is not UTF-8 is an error: JSON cannot carry
// it, and a key with other bytes would be another key.
func (c *Client) Mint(ctx context.Context, r MintRequest, opts ...Option) (*Token, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return do[Token](ctx, c, http.MethodPost, "/v1/tokens", r, headers(opts)...)
}

// check refuses what encoding/json would replace without a word.
func (r *MintRequest) check() error {
	texts := map[string]string{
		"operation": r.Operation, "bucket": r.Bucket, "key": r.Key, "prefix": r.Prefix, "expires_in": r.ExpiresIn, "subject": r.Subject,
		"resume_window": r.ResumeWindow, "version_id": r.VersionID, "if_match": r.IfMatch, "passcode": r.Passcode, "confirm": r.Confirm,
		"shared_by": r.SharedBy, "message": r.Message,
	}
	if r.Response != nil {
		texts["response.filename"] = r.Response.Filename
		texts["response.disposition"] = r.Response.Disposition
		texts["response.content_type"] = r.Response.ContentType
	}
	if r.Upload != nil {
		texts["upload.content_types"] = strings.Join(r.Upload.ContentTypes, ",")
		texts["upload.client_metadata"] = strings.Join(r.Upload.ClientMetadata, ",")
		texts["upload.checksum"], texts["upload.storage_class"] = r.Upload.Checksum, r.Upload.StorageClass
		for name, value := range r.Upload.Metadata {
			texts["upload.metadata"] += name + "," + value + ","
		}
		texts["upload.key_template"] = r.Upload.KeyTemplate
	}
	if r.Notify != nil {
		texts["notify.topic"], texts["notify.subject"], texts["notify.message"] = r.Notify.Topic, r.Notify.Subject, r.Notify.Message
	}
	for name, value := range r.Labels {
		texts["labels"] += name + "," + value + ","
	}
	return checkTexts(texts)
}

// checkTexts names the first field that holds what is not text.
func checkTexts(texts map[string]string) error {
	for _, field := range slices.Sorted(maps.Keys(texts)) {
		if !utf8.ValidString(texts[field]) {
			return fmt.Errorf("%s: is not valid UTF-8", field)
		}
	}
	return nil
}

// Show returns the status of a token by its ID.
func (c *Client) Show(ctx context.Context, id string) (*Status, error) {
	return do[Status](ctx, c, http.MethodGet, "/v1/tokens/"+url.PathEscape(id), nil)
}

// List returns one page of tokens, the one that expires last first.
func (c *Client) List(ctx context.Context, q ListQuery) (*Page, error) {
	return do[Page](ctx, c, http.MethodGet, "/v1/tokens?"+q.values().Encode(), nil)
}

// Revoke takes a token's permission back. When it returns without error that
// holds for every later request, and the receipt says what was stopped.
func (c *Client) Revoke(ctx context.Context, id, reason string) (*Receipt, error) {
	path := "/v1/tokens/" + url.PathEscape(id)
	if reason != "" {
		path += "?" + url.Values{"reason": {reason}}.Encode()
	}
	return do[Receipt](ctx, c, http.MethodDelete, path, nil)
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

// do sends a request with a body, nil for none, and headers: names and values.
func do[T any](ctx context.Context, c *Client, method, path string, body any, header ...string) (*T, error) {
	var send io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
		send = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, send)
	if err != nil {
		return nil, fmt.Errorf("calling the API: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.bearer)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("calling the API: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the API's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, readError(resp, raw)
	}
	out := new(T)
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, fmt.Errorf("reading the API's answer: %w", err)
	}
	return out, nil
}

// ReadError reads the error of a response that is not a success, from the API
// or from a link that was asked for application/problem+json.
func ReadError(resp *http.Response) *Error {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return readError(resp, raw)
}

func readError(resp *http.Response, raw []byte) *Error {
	problem := &Error{Title: resp.Status, RequestID: resp.Header.Get("X-Request-Id")}
	_ = json.Unmarshal(raw, problem) // whatever answers may not be a gate
	problem.Status = resp.StatusCode
	return problem
}
