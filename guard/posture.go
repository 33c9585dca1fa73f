package guard

import (
	"context"
	"errors"
	"fmt"

	"s3gate/s3client"
)

// State is what was found of a setting or of a statement.
type State string

// The states, from good to bad; the last two say that nobody could look.
const (
	OK          State = "ok"          // as it should be, or stronger
	Weak        State = "weak"        // there, and not as it should be
	Missing     State = "missing"     // not there
	Unknown     State = "unknown"     // the credentials may not look
	Unsupported State = "unsupported" // the store does not have it
)

// Setting names a setting of the bucket that [Harden] brings about. The names
// are those of the command line and of JSON, and stay.
type Setting string

// The settings, in the order in which they are looked at and changed.
const (
	PublicAccess       Setting = "public-access-block"
	Ownership          Setting = "object-ownership"
	Encryption         Setting = "encryption"
	Versioning         Setting = "versioning"
	AccessLogging      Setting = "access-logging"
	OrphanParts        Setting = "abort-multipart"
	NoncurrentVersions Setting = "expire-noncurrent"
)

// AllSettings returns the settings in their order.
func AllSettings() []Setting {
	return []Setting{PublicAccess, Ownership, Encryption, Versioning, AccessLogging, OrphanParts, NoncurrentVersions}
}

// Want says how the settings should be. The zero value asks for what every
// bucket can have without a decision: all but access logging, which needs a
// target, and the expiry of old versions, which deletes.
type Want struct {
	// KMSKey is the ID or ARN of the key that objects are encrypted with by
	// default; "" is content with SSE-S3, and with any key that is there.
	KMSKey string
	// LogBucket is where the access log is to go, with keys that begin with
	// LogPrefix; "" is content with any target that is there.
	LogBucket, LogPrefix string
	// LogToSelf permits LogBucket to be the bucket itself, whose log then
	// logs how it is written.
	LogToSelf bool
	// Logs is LogBucket, to see whether it takes logs; nil does not look.
	Logs *s3client.Bucket
	// Account is the account of the bucket, twelve digits, for the policy
	// that LogBucket needs; "" leaves the account out of it.
	Account string
	// AbortDays is after how many days at most the parts of an upload that was
	// never completed go; 0 means 7.
	AbortDays int
	// NoncurrentDays is after how many days versions go that were replaced; 0
	// does not ask for it.
	NoncurrentDays int
}

// ErrOptions is wrapped by errors of options that contradict themselves or make no
// sense; nothing was asked of the store then.
var ErrOptions = errors.New("wrong options")

// check refuses what S3 would refuse later, or what nobody means.
func (w *Want) check(bucket string) error {
	switch {
	case w.AbortDays < 0:
		return fmt.Errorf("days until parts are dropped: %d is less than 0", w.AbortDays)
	case w.NoncurrentDays < 0:
		return fmt.Errorf("days until old versions are deleted: %d is less than 0", w.NoncurrentDays)
	case w.LogBucket == "" && w.LogPrefix != "":
		return fmt.Errorf("log prefix %q: without a log bucket", w.LogPrefix)
	case w.LogBucket == bucket && !w.LogToSelf:
		return fmt.Errorf("log bucket: %q is the bucket itself, so that its log would log how it is written; name another, or say that it is meant", bucket)
	}
	return nil
}

// look is what was found of one setting, and what can be done.
type look struct {
	state State
	is    string // in a few words
	note  string // what else there is to say
	will  string // what it is after apply
	fails error  // why apply would be no use; nil: it may be of use
	apply func(context.Context) error
}

// looks says how each setting is looked at. A look fails for what is no
// answer; what the store refuses is a state.
var looks = map[Setting]func(context.Context, *s3client.Bucket, *Want) (look, error){
	PublicAccess:       lookPublicAccess,
	Ownership:          lookOwnership,
	Encryption:         lookEncryption,
	Versioning:         lookVersioning,
	AccessLogging:      lookLogging,
	OrphanParts:        lookOrphanParts,
	NoncurrentVersions: lookNoncurrent,
}

// lookAt looks at a setting.
func lookAt(ctx context.Context, b *s3client.Bucket, s Setting, w *Want) (look, error) {
	l, err := looks[s](ctx, b, w)
	if err == nil {
		return l, nil
	}
	if state := refusalState(err); state != "" {
		return look{state: state, is: "?", note: err.Error()}, nil
	}
	return look{}, err
}

// refusalState is what a refusal means for who wanted to look; "" for other
// errors.
func refusalState(err error) State {
	switch {
	case errors.Is(err, s3client.ErrForbidden):
		return Unknown
	case errors.Is(err, s3client.ErrUnsupported):
		return Unsupported
	}
	return ""
}
