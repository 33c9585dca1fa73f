// Package client is the Go client of s3gate's API.
//
// An application that hands out links needs three lines:
//
//	c := client.New("https://gate.internal:8090", jwt)
//	t, err := c.Mint(ctx, client.MintRequest{Operation: "get", Bucket: "docs", Key: "report.pdf"})
//	fmt.Println(t.URL)
package client

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

// MintRequest says what a new token is to permit. Zero fields take the gate's
// defaults: one hour, any number of downloads or one upload.
type MintRequest struct {
	Operation         string            `json:"operation"` // get or put
	Bucket            string            `json:"bucket"`    // an alias from the gate's configuration
	Key               string            `json:"key,omitempty"`
	Prefix            string            `json:"prefix,omitempty"` // instead of Key: everything below it
	List              bool              `json:"list,omitempty"`   // and a listing of it
	NotBefore         *time.Time        `json:"not_before,omitempty"`
	ExpiresAt         *time.Time        `json:"expires_at,omitempty"`
	ExpiresIn         string            `json:"expires_in,omitempty"` // such as 90s, 1h or 30d, instead of ExpiresAt
	MaxUses           *int64            `json:"max_uses,omitempty"`   // 0 means without limit
	Subject           string            `json:"subject,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Clients           []string          `json:"clients,omitempty"`             // networks from which it works
	Bandwidth         int64             `json:"bandwidth,omitempty"`           // bytes a second through one gate
	RequestsPerSecond int64             `json:"requests_per_second,omitempty"` // through one gate
	MaxConcurrent     int64             `json:"max_concurrent,omitempty"`      // transfers at a time
	CutAtExpiry       bool              `json:"cut_at_expiry,omitempty"`       // also end what runs at expiry
	ResumeWindow      string            `json:"resume_window,omitempty"`       // such as 10m: how long a use may be taken up again
	ResumeSlack       *int64            `json:"resume_slack,omitempty"`        // bytes more than the object; nil means 16 MiB
	VersionID         string            `json:"version_id,omitempty"`          // the only version that is given out
	IfMatch           string            `json:"if_match,omitempty"`            // the ETag that the object must have
	Passcode          string            `json:"passcode,omitempty"`            // what must be given with the link
	SelfRevoke        *bool             `json:"self_revoke,omitempty"`         // whether the holder may revoke it; nil means if it has one use
	Confirm           string            `json:"confirm,omitempty"`             // auto, always or never
	Response          *Response         `json:"response,omitempty"`
	Upload            *Upload           `json:"upload,omitempty"`
	Notify            *Notify           `json:"notify,omitempty"` // a message with the link
}

// Notify asks for a message with the link, through a topic of the gate's.
type Notify struct {
	Topic   string `json:"topic"`             // its alias
	Subject string `json:"subject,omitempty"` // of a mail; ASCII
	// Message holds {url}, for which the link is put; "" is the link alone.
	Message string `json:"message,omitempty"`
}

// Response says how a download is presented.
type Response struct {
	Filename    string `json:"filename,omitempty"`
	Disposition string `json:"disposition,omitempty"` // attachment or inline
	ContentType string `json:"content_type,omitempty"`
}

// Upload limits what an upload may store.
type Upload struct {
	MaxBytes     int64    `json:"max_bytes,omitempty"`
	ContentTypes []string `json:"content_types,omitempty"`
	Sniff        bool     `json:"sniff,omitempty"` // the content must look like one of ContentTypes too
	Overwrite    bool     `json:"overwrite,omitempty"`
	// Checksum must be sent along: md5, crc32, crc32c, crc64nvme, sha1, sha256
	// or any; "" demands none.
	Checksum string `json:"checksum,omitempty"`
	// Metadata is kept with the object, and ClientMetadata names what the client
	// may set besides; "*" stands for every name.
	Metadata       map[string]string `json:"metadata,omitempty"`
	ClientMetadata []string          `json:"client_metadata,omitempty"`
	StorageClass   string            `json:"storage_class,omitempty"` // "" leaves that to the gate
	// KeyTemplate is the whole key of what is stored below a Prefix, such as
	// "incoming/{date}/{uuid}/{filename}"; "" means the prefix and then
	// "{uuid}/{filename}".
	KeyTemplate string `json:"key_template,omitempty"`
	// RevealKey tells the uploader that key, in X-S3gate-Key.
	RevealKey bool `json:"reveal_key,omitempty"`
}

// Grant is what a token permits.
type Grant struct {
	ID                string            `json:"id"`
	Operation         string            `json:"operation"`
	Bucket            string            `json:"bucket"`
	Key               string            `json:"key,omitempty"`
	Prefix            string            `json:"prefix,omitempty"`
	List              bool              `json:"list,omitempty"`
	NotBefore         *time.Time        `json:"not_before,omitempty"`
	ExpiresAt         time.Time         `json:"expires_at"`
	MaxUses           int64             `json:"max_uses"`
	Subject           string            `json:"subject,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Clients           []string          `json:"clients,omitempty"`             // networks from which it works
	Bandwidth         int64             `json:"bandwidth,omitempty"`           // bytes a second through one gate
	RequestsPerSecond int64             `json:"requests_per_second,omitempty"` // through one gate
	MaxConcurrent     int64             `json:"max_concurrent,omitempty"`      // transfers at a time
	CutAtExpiry       bool              `json:"cut_at_expiry,omitempty"`
	ResumeWindow      string            `json:"resume_window,omitempty"` // such as 10m0s
	ResumeSlack       int64             `json:"resume_slack,omitempty"`  // bytes
	VersionID         string            `json:"version_id,omitempty"`
	IfMatch           string            `json:"if_match,omitempty"`
	Passcode          bool              `json:"passcode,omitempty"`    // one must be given
	SelfRevoke        bool              `json:"self_revoke,omitempty"` // the holder may revoke it
	Confirm           string            `json:"confirm,omitempty"`     // auto, always or never
	Response          *Response         `json:"response,omitempty"`
	Upload            *Upload           `json:"upload,omitempty"`
	Issuer            string            `json:"issuer,omitempty"`
	IssuedBy          string            `json:"issued_by,omitempty"`
	IssuedAt          time.Time         `json:"issued_at"`
}

// Token is a freshly minted token. It prints and logs as its ID; its JSON form
// holds the secret.
type Token struct {
	// Token is the secret; it is not given out again.
	Token string `json:"token"`
	// URL is the link, and Method what it answers.
	URL    string `json:"url"`
	Method string `json:"method"`
	// Durability is what its uses and its revocation are worth; see [Receipt].
	Durability string `json:"durability"`
	// Notified says whether the message was sent that was asked for, and
	// NotNotified why not; nil where none was.
	Notified    *bool  `json:"notified,omitempty"`
	NotNotified string `json:"not_notified,omitempty"`
	Grant
	*UploadParameters // nil for a get
}

// UploadParameters make the JSON form of a put's Token what Uppy's
// getUploadParameters returns.
type UploadParameters struct {
	Fields  struct{}          `json:"fields"`  // of a form, which a PUT does not have
	Headers map[string]string `json:"headers"` // what the upload has to declare
	Expires int64             `json:"expires"` // whole seconds that the token lives
}

// Format writes the ID for every verb.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, t.ID) }

// LogValue is the ID.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.ID) }

// Status is a grant and what has become of it.
type Status struct {
	Grant
	State string `json:"state"` // active, pending, used, expired or revoked
	// CoveredBy is the ID of a rule that covers the token, which does not work
	// then, whatever its state.
	CoveredBy string `json:"covered_by,omitempty"`
	Uses      int64  `json:"uses"`
	InUse     int64  `json:"in_use"`
	// UsesLeft is how many uses can still begin; nil without a limit.
	UsesLeft *int64 `json:"uses_left,omitempty"`
	// Open are the uses that may still be resumed, Receipts those that have
	// ended, the latest first, and Unreported counts charged uses that are
	// neither. Show gives them, List does not.
	Open       []OpenUse    `json:"open,omitempty"`
	Receipts   []UseReceipt `json:"receipts,omitempty"`
	Unreported int64        `json:"unreported,omitempty"`
	Revocation *Revocation  `json:"revocation,omitempty"`
}

// OpenUse is a use that may still be resumed. Sizes are in bytes.
type OpenUse struct {
	Use     string    `json:"use"`
	Began   time.Time `json:"began"`
	Until   time.Time `json:"until"`
	Size    int64     `json:"size"`
	Budget  int64     `json:"budget"`
	Bytes   int64     `json:"bytes"` // given out or reserved
	Left    int64     `json:"left"`
	Running int64     `json:"running"` // requests
}

// UseReceipt says what became of one use.
type UseReceipt struct {
	Use        string     `json:"use"`
	Request    string     `json:"request,omitempty"` // the first request's ID
	Requests   int64      `json:"requests"`
	Client     string     `json:"client,omitempty"` // its address, as far as it is kept
	Size       int64      `json:"size"`
	ETag       string     `json:"etag,omitempty"`
	VersionID  string     `json:"version_id,omitempty"`
	Key        string     `json:"key"` // of the object, or the prefix of a get
	Bytes      int64      `json:"bytes"`
	Ranges     [][2]int64 `json:"ranges,omitempty"` // first byte, and the byte after the last
	Outcome    string     `json:"outcome"`          // complete or aborted
	Began      time.Time  `json:"began"`
	Ended      time.Time  `json:"ended"`
	DurationMS int64      `json:"duration_ms"`
}

// Revocation says who revoked a token, when and why.
type Revocation struct {
	At     time.Time `json:"at"`
	Author string    `json:"author,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Receipt is what a revocation can show for itself.
type Receipt struct {
	ID             string   `json:"id"`
	AcknowledgedBy []string `json:"acknowledged_by"` // gates
	ExpiredLeases  []string `json:"expired_leases"`  // gates that were silent, and may not serve
	Cut            int      `json:"cut"`             // transfers that were stopped
	// Durability is what that is worth: memory, disk, replicated or best-effort.
	Durability string `json:"durability"`
	// Committing are uploads past stopping, by the ID of their request.
	Committing []string `json:"committing,omitempty"`
	TookMS     float64  `json:"took_ms"`
}

// ListQuery selects tokens. Zero fields select all.
type ListQuery struct {
	Subject, Bucket, Prefix, State string
	Limit                          int    // tokens in a page; 0 means the gate's default
	Cursor                         string // from Page.Next; "" begins
}

// Page is one page of tokens; Next is empty on the last.
type Page struct {
	Tokens []Status `json:"tokens"`
	Next   string   `json:"next,omitempty"`
}

// Error is what the API answers instead of success (RFC 9457).
type Error struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
	// Rule and Outcome are those of a revocation or lift that is not proven:
	// the rule's ID, and not_made, unknown or made.
	Rule      string `json:"rule"`
	Outcome   string `json:"outcome"`
	RequestID string `json:"request_id"`
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
func (c *Client) Mint(ctx context.Context, r MintRequest) (*Token, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return do[Token](ctx, c, http.MethodPost, "/v1/tokens", r)
}

// check refuses what encoding/json would replace without a word.
func (r *MintRequest) check() error {
	texts := map[string]string{
		"operation": r.Operation, "bucket": r.Bucket, "key": r.Key, "prefix": r.Prefix, "expires_in": r.ExpiresIn, "subject": r.Subject,
		"resume_window": r.ResumeWindow, "version_id": r.VersionID, "if_match": r.IfMatch, "passcode": r.Passcode, "confirm": r.Confirm,
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
	v := url.Values{}
	for name, value := range map[string]string{
		"subject": q.Subject, "bucket": q.Bucket, "prefix": q.Prefix, "state": q.State, "cursor": q.Cursor,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return do[Page](ctx, c, http.MethodGet, "/v1/tokens?"+v.Encode(), nil)
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

func do[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
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
