package tokens

import (
	"net/netip"
	"time"
)

// Operation is the one thing that a token permits.
type Operation string

// The operations. A get token answers GET and HEAD, a put token PUT.
const (
	Get Operation = "get"
	Put Operation = "put"
)

// Grant is what a token permits, and to whom it was given. The JSON names are
// the API's. A Grant is a value: copies are independent but for Labels,
// Clients and the lists and maps of Upload, which nobody changes after the grant
// was minted: a [Store] that keeps grants in memory gives the same to many requests.
type Grant struct {
	// ID is the token's ID; filled by the store.
	ID ID `json:"id"`
	// Operation is get or put.
	Operation Operation `json:"operation"`
	// Bucket is an alias from the gate's configuration. The real bucket, its
	// endpoint and its credentials stay with the gate.
	Bucket string `json:"bucket"`
	// Key is the object's key, byte for byte: 1 to 1024 bytes of UTF-8.
	Key string `json:"key,omitempty"`
	// Prefix, instead of Key, permits every object whose key begins so. For a
	// get the rest of the key follows the token in the link; for a put the gate
	// makes it, see [Upload].KeyTemplate.
	Prefix string `json:"prefix,omitempty"`
	// List permits to list what is under Prefix.
	List bool `json:"list,omitempty"`
	// NotBefore is when the token begins to work; zero means at once.
	NotBefore time.Time `json:"not_before,omitzero"`
	// ExpiresAt is when it stops working. A transfer that began earlier goes
	// on. Millisecond resolution.
	ExpiresAt time.Time `json:"expires_at"`
	// CutAtExpiry also ends transfers that run when the token expires, and
	// lets no download go on after it.
	CutAtExpiry bool `json:"cut_at_expiry,omitempty"`
	// MaxUses is how many uses are granted; 0 means without limit.
	MaxUses int64 `json:"max_uses"`
	// ResumeWindow is how long after a transfer of a use has ended the use
	// may go on with another: to take up a broken download, or to fetch
	// parts side by side. 0 means that one request is one use. At most 24 h.
	ResumeWindow Duration `json:"resume_window,omitempty"`
	// ResumeSlack is how many bytes a use with a ResumeWindow may yield more
	// than the object has, for what was sent and never arrived. The slack is
	// never more than the object's size.
	ResumeSlack int64 `json:"resume_slack,omitempty"`
	// VersionID is the only version of the object that is given out; "" means
	// the current one.
	VersionID string `json:"version_id,omitempty"`
	// IfMatch is the ETag that the object must have, with its quotes; "" means
	// any.
	IfMatch string `json:"if_match,omitempty"`
	// Subject is for whom the token was made; "" if nobody said.
	Subject string `json:"subject,omitempty"`
	// Labels are free names and values to find and revoke tokens by.
	Labels map[string]string `json:"labels,omitempty"`
	// Clients are the networks from which the token works, such as
	// 192.0.2.0/24, or single addresses; empty means from everywhere.
	Clients []string `json:"clients,omitempty"`
	// Bandwidth is how many bytes a second all transfers of the token through
	// one gate get together; 0 sets no limit, else it is at least 1024.
	Bandwidth int64 `json:"bandwidth,omitempty"`
	// RequestsPerSecond is how many requests a second one gate answers for
	// the token; 0 sets no limit.
	RequestsPerSecond int64 `json:"requests_per_second,omitempty"`
	// MaxConcurrent is how many transfers of the token may run at a time,
	// over all gates; 0 sets no limit.
	MaxConcurrent int64 `json:"max_concurrent,omitempty"`
	// Passcode must be given with the link; the zero Passcode asks for none.
	Passcode Passcode `json:"passcode,omitzero"`
	// Confirm says when a browser shows a page first, on which a person
	// starts the download: auto, also when empty, always or never.
	Confirm Confirm `json:"confirm,omitempty"`
	// SharedBy is who shares the file, as the pages say it: one line of at most
	// [MaxSharedBy] characters; "" leaves that out.
	SharedBy string `json:"shared_by,omitempty"`
	// Message is a note for whoever opens the link, which the pages show as plain
	// text with its line breaks: at most [MaxMessage] characters; "" is none.
	Message string `json:"message,omitempty"`
	// Previews lets listings show the images among the files. Each one is a
	// download, so the token has no limit of uses.
	Previews bool `json:"previews,omitempty"`
	// SelfRevoke lets whoever holds the link revoke it.
	SelfRevoke bool `json:"self_revoke,omitempty"`
	// Canary makes the token permit nothing, and MaxUses 0: whoever uses it hears that there is no
	// such token, and the gate tells of it. It is to lie where nobody should look.
	Canary bool `json:"canary,omitempty"`
	// Response overrides headers of the answer to a get.
	Response Response `json:"response,omitzero"`
	// Upload limits what a put may store.
	Upload Upload `json:"upload,omitzero"`

	// Version is 1 for a grant as it was minted, and grows with each change;
	// filled by the store.
	Version int64 `json:"version"`
	// Issuer and IssuedBy are the JWT issuer and subject that minted the
	// token, and IssuedAt is when, by Redis time; filled by the gate.
	Issuer   string    `json:"issuer,omitempty"`
	IssuedBy string    `json:"issued_by,omitempty"`
	IssuedAt time.Time `json:"issued_at"`
	// RevGen and RevSeq are the place in the revocation log up to which the
	// gate had applied it that minted the token; filled by the gate.
	RevGen int64 `json:"-"`
	RevSeq int64 `json:"-"`
}

// Admits reports whether the token works from an address. The zero Addr, of a
// client whose address is not known, is admitted only if all are. A network
// that cannot be read admits nobody.
func (g *Grant) Admits(client netip.Addr) bool {
	for _, text := range g.Clients {
		if network, ok := parseNetwork(text); ok && network.Contains(client.Unmap()) {
			return true
		}
	}
	return len(g.Clients) == 0
}

// parseNetwork reads a network, or an address as a network of its own.
func parseNetwork(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	network, err := netip.ParsePrefix(text)
	return network, err == nil
}

// Duration is a time.Duration that is written as text, such as "10m0s".
type Duration time.Duration

// MarshalText writes the form of [time.Duration.String].
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Confirm says when a page comes before a download.
type Confirm string

// The values of Confirm. Auto shows the page to browsers, for tokens that
// limit their uses.
const (
	ConfirmAuto   Confirm = "auto"
	ConfirmAlways Confirm = "always"
	ConfirmNever  Confirm = "never"
)

// Response says how the object is presented. Zero fields leave the default.
type Response struct {
	// Filename is the name to save under; "" means the last part of the key.
	Filename string `json:"filename,omitempty"`
	// Disposition is "attachment" (also when empty) or "inline".
	Disposition string `json:"disposition,omitempty"`
	// ContentType replaces the object's own media type.
	ContentType string `json:"content_type,omitempty"`
}

// The values of [Response].Disposition.
const (
	Attachment = "attachment"
	Inline     = "inline"
)

// Upload limits what a put may store. The zero Upload sets no limit of its
// own and forbids overwriting.
type Upload struct {
	// MaxBytes is the largest object; 0 means what S3 takes, 5 TiB.
	MaxBytes int64 `json:"max_bytes,omitempty"`
	// ContentTypes are the media types that may be declared, such as
	// "image/png" or "image/*"; empty means any.
	ContentTypes []string `json:"content_types,omitempty"`
	// Sniff demands that the first 512 bytes look like one of ContentTypes too,
	// by the rules of [net/http.DetectContentType].
	Sniff bool `json:"sniff,omitempty"`
	// Overwrite permits replacing an object that exists.
	Overwrite bool `json:"overwrite,omitempty"`
	// Checksum is one of [Checksums], which the client must send along, or
	// [AnyChecksum]; "" demands none.
	Checksum string `json:"checksum,omitempty"`
	// Metadata is kept with the object: x-amz-meta-{name}. Names are in lower
	// case, values printable US-ASCII.
	Metadata map[string]string `json:"metadata,omitempty"`
	// ClientMetadata names the metadata that the client may set besides; "*"
	// stands for every name. What Metadata sets it does not.
	ClientMetadata []string `json:"client_metadata,omitempty"`
	// StorageClass is one of [StorageClasses]; "" leaves that to the bucket.
	StorageClass string `json:"storage_class,omitempty"`
	// KeyTemplate is the whole key of what is stored below a Prefix, with which
	// it begins, such as "incoming/{date}/{uuid}/{filename}": the day in UTC, 36
	// random characters, and what the client calls the file, made safe and
	// shortened to what fits. It is for a Prefix only, which needs it; see
	// [Grant.FillDropBox].
	KeyTemplate string `json:"key_template,omitempty"`
	// RevealKey tells the uploader the key of what was stored below a Prefix.
	RevealKey bool `json:"reveal_key,omitempty"`
}

// AnyChecksum is the [Upload].Checksum that each of [Checksums] meets.
const AnyChecksum = "any"

// Checksums returns the names of the checksums that an upload may be required
// to come with.
func Checksums() []string {
	return []string{"md5", "crc32", "crc32c", "crc64nvme", "sha1", "sha256"}
}

// StorageClasses returns the names of the classes that an object may be stored
// in (Amazon S3 API, "PutObject"), but those that need an endpoint of their own.
func StorageClasses() []string {
	return []string{"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING",
		"GLACIER", "GLACIER_IR", "DEEP_ARCHIVE"}
}

// Strict reports whether one request is one use: uses are limited, and none
// can be resumed.
func (g *Grant) Strict() bool { return g.Limited() && g.ResumeWindow == 0 }

// Limited reports whether the number of uses is limited.
func (g *Grant) Limited() bool { return g.MaxUses > 0 }
