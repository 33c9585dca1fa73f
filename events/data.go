package events

import "time"

// Grant says which token an event is about, and whose it is.
type Grant struct {
	// Token is its ID.
	Token string `json:"token,omitempty"`
	// Operation is get or put, and Bucket the alias.
	Operation string `json:"operation,omitempty"`
	Bucket    string `json:"bucket,omitempty"`
	// Key is the object's key, or the prefix of a grant for many.
	Key string `json:"key,omitempty"`
	// Subject is for whom the token was made.
	Subject string `json:"subject,omitempty"`
	// Issuer and IssuedBy are those of the JWT that minted it.
	Issuer   string `json:"issuer,omitempty"`
	IssuedBy string `json:"issued_by,omitempty"`
}

// Minted is the data of [TokenMinted].
type Minted struct {
	Grant
	// NotBefore and ExpiresAt bound the token's life, by Redis time.
	NotBefore time.Time `json:"not_before,omitzero"`
	ExpiresAt time.Time `json:"expires_at"`
	// MaxUses is how many uses are granted; 0 means without limit.
	MaxUses int64 `json:"max_uses"`
	// Labels are the token's.
	Labels map[string]string `json:"labels,omitempty"`
}

// Changed is the data of [TokenChanged].
type Changed struct {
	Grant
	// Version is that of the grant now.
	Version int64 `json:"version"`
	// ExpiresAt is when it expires now, MaxUses how often it works in all, and Labels
	// are those that it has.
	ExpiresAt time.Time         `json:"expires_at"`
	MaxUses   int64             `json:"max_uses"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Author is who has changed it.
	Author string `json:"author,omitempty"`
	// Receipt is what the gate can show for it; nil if that failed, and Error says
	// why.
	Receipt *RuleReceipt `json:"receipt,omitempty"`
	Error   string       `json:"error,omitempty"`
}

// Redeemed is the data of [TokenRedeemed].
type Redeemed struct {
	Grant
	// Use names the use, as its receipt will, and Request its first request.
	Use     string `json:"use"`
	Request string `json:"request"`
	// Client is the client's address, as far as it is kept.
	Client string `json:"client,omitempty"`
}

// Receipt is the data of [TokenReceipt].
type Receipt struct {
	Grant
	// Use names the use; a receipt that comes twice is known by it.
	Use string `json:"use"`
	// Request names the first request, and Requests is how many there were.
	Request  string `json:"request,omitempty"`
	Requests int64  `json:"requests"`
	// Client is the address from which the use was begun, as far as it is kept.
	Client string `json:"client,omitempty"`
	// Size, in bytes, ETag and VersionID are the object's.
	Size      int64  `json:"size"`
	ETag      string `json:"etag,omitempty"`
	VersionID string `json:"version_id,omitempty"`
	// Bytes were given out, or stored, and Ranges are what they cover: first byte
	// and the byte after the last, ascending.
	Bytes  int64      `json:"bytes"`
	Ranges [][2]int64 `json:"ranges,omitempty"`
	// Outcome is complete or aborted.
	Outcome string `json:"outcome"`
	// Began and Ended are when, by Redis time as far as the gate knows it, and
	// DurationMS is the time between them in milliseconds.
	Began      time.Time `json:"began"`
	Ended      time.Time `json:"ended"`
	DurationMS int64     `json:"duration_ms"`
}

// Refused is the data of [TokenRefused]. Several requests that were refused for
// one reason, under one token and from one client, may be one event.
type Refused struct {
	Grant
	// Reason is the code that the client got, such as LinkExpired or NotFound.
	Reason string `json:"reason"`
	// Status is the status that it got.
	Status int `json:"status,omitempty"`
	// Method and Request are those of the first request; "" where requests of many
	// kinds were counted together.
	Method  string `json:"method,omitempty"`
	Request string `json:"request,omitempty"`
	// Client is the client's address, as far as it is kept.
	Client string `json:"client,omitempty"`
	// Canary says that the token is one that nobody should have: the client heard
	// that there is no such link.
	Canary bool `json:"canary,omitempty"`
	// Count is how many requests it were, since Since.
	Count int64     `json:"count"`
	Since time.Time `json:"since,omitzero"`
}

// Rule is the data of [RuleRevoked] and [RuleLifted].
type Rule struct {
	// ID names the rule.
	ID string `json:"id"`
	// Token to All are what it selects by.
	Token        string            `json:"token,omitempty"`
	Subject      string            `json:"subject,omitempty"`
	Issuer       string            `json:"issuer,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Bucket       string            `json:"bucket,omitempty"`
	Prefix       string            `json:"prefix,omitempty"`
	IssuedBefore time.Time         `json:"issued_before,omitzero"`
	All          bool              `json:"all,omitempty"`
	// Standing says that it covers later tokens too.
	Standing bool `json:"standing,omitempty"`
	// Author made it at At, by Redis time, for Reason.
	Author string    `json:"author,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
	// LiftedAt, LiftedBy and LiftReason are those of its end.
	LiftedAt   time.Time `json:"lifted_at,omitzero"`
	LiftedBy   string    `json:"lifted_by,omitempty"`
	LiftReason string    `json:"lift_reason,omitempty"`
	// Grant is that of the token, for a rule of one.
	Grant *Grant `json:"grant,omitempty"`
	// Receipt is what the gate can show for it; nil if that failed, and Error says
	// why.
	Receipt *RuleReceipt `json:"receipt,omitempty"`
	Error   string       `json:"error,omitempty"`
}

// RuleReceipt is what a revocation, or a lift, can show for itself.
type RuleReceipt struct {
	// AcknowledgedBy are gates that have applied it, ExpiredLeases those that were
	// silent and may not serve.
	AcknowledgedBy []string `json:"acknowledged_by"`
	ExpiredLeases  []string `json:"expired_leases"`
	// Cut is how many transfers were stopped, and Committing are uploads past
	// stopping, by their request.
	Cut        int      `json:"cut"`
	Committing []string `json:"committing,omitempty"`
	// Durability is what it is worth: memory, disk, replicated, best-effort.
	Durability string `json:"durability"`
	// TookMS is how long it took in milliseconds.
	TookMS float64 `json:"took_ms"`
}

// Cut is the data of [TransferCut].
type Cut struct {
	// Request is that of the transfer.
	Request string `json:"request"`
	// Author has ended it.
	Author string `json:"author,omitempty"`
	// Committing says that it was an upload past stopping.
	Committing bool `json:"committing,omitempty"`
}

// Locked is the data of [BucketLocked], [BucketUnlocked] and [BucketUnverified].
type Locked struct {
	// Bucket is the alias.
	Bucket string `json:"bucket"`
	// Verified says that requests were made that showed it.
	Verified bool `json:"verified"`
	// State is what the gates found: locked, limited, unlocked or unknown; and Before
	// what they had found until then, "" for nothing.
	State  string `json:"state,omitempty"`
	Before string `json:"before,omitempty"`
	// Failed are the requests that went another way than under a lock.
	Failed []Failed `json:"failed,omitempty"`
	// Error says why nothing is known.
	Error string `json:"error,omitempty"`
	// VerifiedAt is when a verification last came to a result.
	VerifiedAt time.Time `json:"verified_at,omitzero"`
}

// Failed is a request that went another way than under a lock.
type Failed struct {
	// Name says what was tried, Got what became of it, and Cause why, as far as the
	// bucket's policy tells.
	Name  string `json:"name"`
	Got   string `json:"got"`
	Cause string `json:"cause,omitempty"`
}

// Leak is the data of [LeakSeen]. The address and the time are those in the log.
// Several requests of one kind are told once.
type Leak struct {
	// Bucket is the alias, and Key that of the object.
	Bucket string `json:"bucket"`
	Key    string `json:"key,omitempty"`
	// Method and Status are those of the request, and Log names where it stands.
	Method string `json:"method,omitempty"`
	Status int    `json:"status,omitempty"`
	Log    string `json:"log,omitempty"`
	// Client is who made it, as far as it is kept, and At is when.
	Client string    `json:"client,omitempty"`
	At     time.Time `json:"at"`
	// Rule is that with which tokens were revoked for it, if any were.
	Rule string `json:"rule,omitempty"`
	// ID names the finding: who has seen it has seen the finding. Kind is presigned,
	// form, shared or canary, and Outcome allowed or refused.
	ID      string `json:"id,omitempty"`
	Kind    string `json:"kind,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	// Token is the ID of the gate's token, and Subject for whom it was made, where it
	// is about one.
	Token   string `json:"token,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Signer is the ID of the access key that has signed, and Requester who that is.
	Signer    string `json:"signer,omitempty"`
	Requester string `json:"requester,omitempty"`
	// Networks are those that a link was used from.
	Networks []string `json:"networks,omitempty"`
	// Request is what the store, or the gate, calls the request, Code the error that
	// it was answered with, and UserAgent what the client called itself.
	Request   string `json:"request,omitempty"`
	Code      string `json:"code,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	// Count is how many requests there were when it was told.
	Count int64 `json:"count,omitempty"`
	// Actions are what was done about it.
	Actions []LeakAction `json:"actions,omitempty"`
}

// LeakAction is something that was done about a [Leak].
type LeakAction struct {
	// Action is revoke_key, revoke_subject, revoke_token or lock.
	Action string `json:"action"`
	// DryRun says that it was only said and not done.
	DryRun bool `json:"dry_run,omitempty"`
	// Tokens are those that were revoked.
	Tokens []string `json:"tokens,omitempty"`
	// Error says why it was not done, or not wholly.
	Error string `json:"error,omitempty"`
}

// Missed is the data of [Gap].
type Missed struct {
	// After is the position that was asked for and that the stream does not have
	// any more, and Oldest the first that it has.
	After  string `json:"after"`
	Oldest string `json:"oldest,omitempty"`
}

// Schemas returns a zero value of the data of each type.
func Schemas() map[Type]any {
	return map[Type]any{
		TokenMinted: Minted{}, TokenChanged: Changed{}, TokenRedeemed: Redeemed{}, TokenReceipt: Receipt{}, TokenRefused: Refused{},
		RuleRevoked: Rule{}, RuleLifted: Rule{}, TransferCut: Cut{},
		BucketLocked: Locked{}, BucketUnlocked: Locked{}, BucketUnverified: Locked{}, LeakSeen: Leak{}, Gap: Missed{},
	}
}
