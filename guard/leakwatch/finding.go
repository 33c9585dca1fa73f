package leakwatch

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Kind says what a finding is about.
type Kind string

// The kinds.
const (
	// Presigned: a request was signed in its URL.
	Presigned Kind = "presigned"
	// Form: an object was uploaded, or should have been, by a form with a signed
	// policy.
	Form Kind = "form"
	// Shared: one link of the gate was used from many networks.
	Shared Kind = "shared"
	// Canary: somebody has asked for a token that was made to be found.
	Canary Kind = "canary"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Presigned, Form, Shared, Canary} }

// Outcome says whether the request got what it asked for.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed"
	Refused Outcome = "refused"
)

// Outcomes returns both outcomes.
func Outcomes() []Outcome { return []Outcome{Allowed, Refused} }

// Finding is something that somebody should know of: one request, or several of
// one kind, signer and network for one key, within a window of time. The JSON
// names are the API's. It holds no secret.
type Finding struct {
	// ID is derived from what the requests have in common and from the window, so
	// that a log that is read twice gives the same: "leak_" and 26 characters.
	ID      string  `json:"id"`
	Kind    Kind    `json:"kind"`
	Outcome Outcome `json:"outcome"`
	// Bucket is the alias, or the bucket's name if it has none here, and Key that of
	// the object; "" for requests to the bucket.
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"`
	// Token is the ID of the gate's token that it is about, and Subject for whom
	// that was made; "" for requests that went past the gate.
	Token   string `json:"token,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Signer is the ID of the access key that signed, and Requester who that is,
	// as S3 has it; "" where the log does not say.
	Signer    string `json:"signer,omitempty"`
	Requester string `json:"requester,omitempty"`
	// Client is the address of the first request, Network what the requests have in
	// common: 24 bits of an IPv4 address or 48 of another. Networks are those of a
	// Shared finding.
	Client   string   `json:"client,omitempty"`
	Network  string   `json:"network,omitempty"`
	Networks []string `json:"networks,omitempty"`
	// Method to Log are those of the first request: what it was, what was answered,
	// what S3 calls it, and where it stands.
	Method    string `json:"method,omitempty"`
	Status    int    `json:"status,omitempty"`
	Code      string `json:"code,omitempty"`
	Request   string `json:"request,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	Log       string `json:"log,omitempty"`
	// First and Last are when, by the log's clock, and Count is how many requests
	// there were.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int64     `json:"count"`
	// Taken is what was done about it, and what failed.
	Taken []Taken `json:"taken,omitempty"`
}

// Taken is an action that was taken for a finding, or would have been.
type Taken struct {
	// Action is what was done.
	Action Action `json:"action"`
	// DryRun says that it was only said and not done.
	DryRun bool `json:"dry_run,omitempty"`
	// Tokens are the IDs of those that were revoked.
	Tokens []string `json:"tokens,omitempty"`
	// Error says why it could not be done, or not all of it; "" if it was.
	Error string `json:"error,omitempty"`
	// Pending says that it is tried again: it failed, or was held back, and At is since
	// when.
	Pending bool `json:"pending,omitempty"`
	// At is when.
	At time.Time `json:"at"`
}

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// name gives the finding its ID, in a window of time; 0 is all time.
func (f *Finding) name(window time.Duration) {
	who := f.Signer
	if who == "" {
		who = f.Requester
	}
	begin := int64(0)
	if window > 0 {
		begin = f.First.Truncate(window).Unix()
	}
	hash := sha256.New()
	for _, part := range []string{string(f.Kind), string(f.Outcome), f.Bucket, f.Key, f.Token, who, f.Network} {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	fmt.Fprint(hash, begin)
	f.ID = "leak_" + idEncoding.EncodeToString(hash.Sum(nil)[:16])
}

// merge adds requests of the same finding.
func (f *Finding) merge(g *Finding) {
	if g.First.Before(f.First) {
		f.First = g.First
	}
	if g.Last.After(f.Last) {
		f.Last = g.Last
	}
	f.Count += g.Count
	if len(g.Networks) > len(f.Networks) {
		f.Networks = g.Networks
	}
}

// NetworkOf is what clients that are likely one have in common: 24 bits of an
// IPv4 address, 48 of another; "" for what is no address.
func NetworkOf(client string) string {
	text, _, isNetwork := strings.Cut(client, "/") // as gates keep it
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	if isNetwork {
		if given, err := netip.ParsePrefix(client); err == nil {
			bits = min(bits, given.Bits())
		}
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}
