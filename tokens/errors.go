package tokens

import "errors"

// Why a token does not permit a request. [Store.Redeem] and the methods of
// [Use] return these, wrapped or bare; compare with errors.Is.
var (
	// ErrUnknown: Redis has no such token, or has forgotten it since.
	ErrUnknown = errors.New("unknown token")
	// ErrExpired: its time is over.
	ErrExpired = errors.New("token expired")
	// ErrNotYet: its time has not come.
	ErrNotYet = errors.New("token not yet valid")
	// ErrRevoked: somebody took the permission back.
	ErrRevoked = errors.New("token revoked")
	// ErrUsed: all its uses are charged.
	ErrUsed = errors.New("token used up")
	// ErrInUse: all its uses are taken, and at least one has not been charged
	// yet, so that it may still come back.
	ErrInUse = errors.New("token in use")
	// ErrTooMany: as many transfers of it run as may at a time.
	ErrTooMany = errors.New("token has too many transfers")
	// ErrOperation: the token permits another operation than the one asked.
	ErrOperation = errors.New("operation not permitted by token")
	// ErrUnproven: Redis could not be asked or its answer could not be
	// believed. Nothing may be given out; the caller may try again.
	ErrUnproven = errors.New("token state cannot be proven")
	// ErrExists: a token with this ID was minted before.
	ErrExists = errors.New("token exists")
)

var statusErrors = map[string]error{
	"ok":        nil,
	"unknown":   ErrUnknown,
	"expired":   ErrExpired,
	"early":     ErrNotYet,
	"revoked":   ErrRevoked,
	"used":      ErrUsed,
	"busy":      ErrInUse,
	"full":      ErrTooMany,
	"operation": ErrOperation,
	"exists":    ErrExists,
}

// statusError turns a script's status into an error; one that is not in the
// table decides nothing.
func statusError(status string) error {
	if err, ok := statusErrors[status]; ok {
		return err
	}
	return unproven(errors.New("unexpected answer " + clip(status)))
}
