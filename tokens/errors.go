package tokens

import (
	"errors"
	"fmt"
)

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
	// ErrChanged: the object is not the one that the use was begun with, or that
	// the grant names.
	ErrChanged = errors.New("object has changed")
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
	"changed":   ErrChanged,
	"version":   ErrVersion,
	"reissued":  ErrReissued,
}

// SpentError is an [ErrUsed] of a use that is still open, and has too little
// left for what was asked.
type SpentError struct {
	// Left is how many bytes it has left.
	Left int64
}

func (e *SpentError) Error() string {
	return fmt.Sprintf("%v: %d bytes are left of an open use", ErrUsed, e.Left)
}

// Is makes a SpentError an ErrUsed.
func (e *SpentError) Is(target error) bool { return target == ErrUsed }

// CanaryError is an [ErrUnknown] of a token that was made to be found. Whoever
// asked must not learn that it is any different.
type CanaryError struct {
	// Grant is the token's.
	Grant Grant
}

func (e *CanaryError) Error() string { return ErrUnknown.Error() }

// Is makes a CanaryError an ErrUnknown.
func (e *CanaryError) Is(target error) bool { return target == ErrUnknown }

// statusError turns a script's status into an error; one that is not in the
// table decides nothing.
func statusError(status string) error {
	if err, ok := statusErrors[status]; ok {
		return err
	}
	return unproven(errors.New("unexpected answer " + clip(status)))
}

func isUnproven(err error) bool { return errors.Is(err, ErrUnproven) }
