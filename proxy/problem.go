package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"s3gate/revocation"
	"s3gate/s3client"
	"s3gate/tokens"
	"s3gate/uploads"
	"s3gate/web"
)

// problem is an error as the client hears of it: fixed words, apart from the
// cause, which is for the log.
type problem struct {
	status  int
	code    string // in the manner of S3's error codes
	message string // as [web.Language.Say] has it
	args    []any  // of the message
	retry   int    // seconds for Retry-After, 0 for none
	allow   string // for 405
}

// in is the message in a language.
func (p *problem) in(l web.Language) string { return l.Say(p.message, p.args...) }

// Problems that several causes share.
var (
	notFound = problem{status: http.StatusNotFound, code: "NotFound",
		message: "There is nothing at this link. Check that it was copied whole."}
	revoked = problem{status: http.StatusGone, code: "LinkRevoked",
		message: "This link was withdrawn. Ask whoever gave it to you for a new one."}
	expired = problem{status: http.StatusGone, code: "LinkExpired",
		message: "This link has expired. Ask whoever gave it to you for a new one."}
	unavailable = problem{status: http.StatusServiceUnavailable, code: "ServiceUnavailable",
		message: "This link cannot be checked right now. Nothing was used up; try again in a moment.", retry: 1}
	storageTrouble = problem{status: http.StatusBadGateway, code: "StorageError",
		message: "The storage behind this link did not answer as it should. Nothing was used up; try again later."}
	storageBusy = problem{status: http.StatusServiceUnavailable, code: "SlowDown",
		message: "The storage behind this link is busy. Nothing was used up; try again in a moment.", retry: 2}
	badUpload = problem{status: http.StatusBadRequest, code: "IncompleteBody",
		message: "The upload did not arrive as announced, so nothing was stored. Send it again."}
	badDigest     = problem{status: http.StatusBadRequest, code: "BadDigest", message: "The upload does not match its checksum, so nothing was stored."}
	badDigestForm = problem{status: http.StatusBadRequest, code: "InvalidDigest", message: "The checksum of the upload is malformed."}
	exists        = problem{status: http.StatusPreconditionFailed, code: "PreconditionFailed",
		message: "The file exists already, and this link does not permit replacing it."}
)

// condition is one of the client's.
var condition = problem{status: http.StatusPreconditionFailed, code: "PreconditionFailed",
	message: "A condition of the request does not hold."}

// causes is the table from errors to problems; the first that matches wins.
var causes = []struct {
	err error
	problem
}{
	{errOrigin, problem{status: http.StatusForbidden, code: "OriginDenied",
		message: "Links do not work at this address. Open the link as it was given to you."}},
	{tokens.ErrMalformed, notFound},
	{tokens.ErrUnknown, notFound},
	{tokens.ErrExpired, expired},
	{tokens.ErrUsed, problem{status: http.StatusGone, code: "LinkUsed",
		message: "This link has been used as often as it may be. Ask whoever gave it to you for a new one."}},
	{tokens.ErrRevoked, revoked},
	{revocation.ErrCut, revoked},
	{revocation.ErrShutdown, unavailable},
	{revocation.ErrExpired, expired},
	{tokens.ErrNotYet, problem{status: http.StatusForbidden, code: "LinkNotYetValid",
		message: "This link does not work yet. Try again later."}},
	{tokens.ErrInUse, problem{status: http.StatusConflict, code: "LinkInUse",
		message: "This link is being used right now. Try again when that is over.", retry: 2}},
	{errNetwork, problem{status: http.StatusForbidden, code: "AccessDenied",
		message: "This link does not work from your network. Ask whoever gave it to you."}},
	{errGuessing, problem{status: http.StatusTooManyRequests, code: "SlowDown",
		message: "Too many links that do not exist were asked for from this network. Try again later.", retry: 10}},
	{errCrowd, problem{status: http.StatusTooManyRequests, code: "SlowDown",
		message: "Too many requests of this network are running. Nothing was used up; try again in a moment.", retry: 2}},
	{errRate, problem{status: http.StatusTooManyRequests, code: "SlowDown",
		message: "This link was asked for too often. Nothing was used up; try again in a moment.", retry: 1}},
	{tokens.ErrTooMany, problem{status: http.StatusTooManyRequests, code: "TooManyTransfers",
		message: "As many transfers run through this link as may at a time. Nothing was used up; try again when one is over.", retry: 2}},
	{errPath, notFound},
	{errCursor, problem{status: http.StatusBadRequest, code: "InvalidArgument",
		message: "The page that was asked for is not one of this listing. Begin at the first."}},
	{tokens.ErrChanged, problem{status: http.StatusPreconditionFailed, code: "ObjectChanged",
		message: "The file behind this link is not the one any more that the link is for, or of which the download was begun. Ask whoever gave it to you for a new one."}},
	{errCondition, condition},
	{errConfirm, problem{status: http.StatusForbidden, code: "ConfirmationRequired",
		message: "A person has to start this download: open the link in a browser and press the button."}},
	{errAhead, problem{status: http.StatusForbidden, code: "ConfirmationRequired",
		message: "This link is not given out in advance. Open it when you want it."}},
	{errNoPasscode, problem{status: http.StatusUnauthorized, code: "PasscodeRequired",
		message: "This link needs a passcode: give it as the password of HTTP Basic or in the header X-S3gate-Passcode."}},
	{errWrongPasscode, problem{status: http.StatusUnauthorized, code: "PasscodeRequired",
		message: "That is not the passcode of this link."}},
	{errNeedless, problem{status: http.StatusBadRequest, code: "InvalidRequest",
		message: "This request takes no body."}},
	{errForm, problem{status: http.StatusBadRequest, code: "InvalidRequest",
		message: "The form could not be read. Open the link again."}},
	{errFormSize, problem{status: http.StatusRequestEntityTooLarge, code: "EntityTooLarge",
		message: "The form is too large. Open the link again."}},
	{errAnswering, problem{status: http.StatusTooManyRequests, code: "SlowDown",
		message: "Too many wrong digits came from this network. Try again later.", retry: 10}},
	{tokens.ErrUnproven, unavailable},
	{s3client.ErrCredentials, unavailable},
	{uploads.ErrUnknown, problem{status: http.StatusGatewayTimeout, code: "OutcomeUnknown",
		message: "The storage did not say whether it kept the upload. The link stays in use until that is known."}},
	{uploads.ErrJournal, unavailable},
	{uploads.ErrGone, problem{status: http.StatusNotFound, code: "NoSuchUpload",
		message: "There is no such upload, or not any more. Begin another one."}},
	{uploads.ErrBusy, problem{status: http.StatusLocked, code: "UploadInUse",
		message: "Another request goes on with this upload. Try again in a moment.", retry: 2}},
	{uploads.ErrTaken, problem{status: http.StatusLocked, code: "UploadInUse",
		message: "Another request has taken this upload over.", retry: 2}},
	{errIdle, problem{status: http.StatusRequestTimeout, code: "RequestTimeout",
		message: "The upload came too slowly, so it was given up and nothing was stored. Send it again."}},
	{errShortBody, badUpload},
	{errOverwrite, problem{status: http.StatusNotImplemented, code: "OverwriteNotPrevented",
		message: "The storage cannot keep this upload from replacing a file, and this link does not permit that. Tell whoever gave it to you."}},
	{uploads.ErrExists, exists},
	{errLength, problem{status: http.StatusLengthRequired, code: "MissingContentLength",
		message: "An upload without a body must say so: Content-Length: 0."}},
	{errDigest, badDigest},
	{errDigestBad, badDigestForm},
	{errDigestUnknown, problem{status: http.StatusBadRequest, code: "InvalidRequest",
		message: "That kind of checksum is not known: send x-amz-checksum-crc32, -crc32c, -crc64nvme, -sha1 or -sha256."}},
	{errDigestSeveral, problem{status: http.StatusBadRequest, code: "InvalidRequest",
		message: "Send one x-amz-checksum header, not several."}},
	{errDigestPromised, problem{status: http.StatusBadRequest, code: "InvalidRequest",
		message: "x-amz-sdk-checksum-algorithm promises a checksum that is not in a header."}},
	{errMetadata, problem{status: http.StatusBadRequest, code: "InvalidArgument",
		message: "Values of x-amz-meta headers must be printable US-ASCII."}},
	{errMetadataSize, problem{status: http.StatusBadRequest, code: "MetadataTooLarge",
		message: "The metadata has more than the {0} bytes that are possible.", args: []any{tokens.MaxMetadataBytes}}},
	{errEncoding, problem{status: http.StatusBadRequest, code: "InvalidRequest",
		message: "Send the plain bytes of the file: aws-chunked and STREAMING-… bodies are not taken."}},
	{errTwoRanges, problem{status: http.StatusBadRequest, code: "InvalidRequest",
		message: "Send one Range header, not several."}},
	{s3client.ErrUnreachable, storageTrouble},
	{errUpstream, storageTrouble},
	{s3client.ErrListing, storageTrouble},
	{s3client.ErrMultipart, storageTrouble},
	{errNoBucket, storageTrouble},
}

// storageCodes is the table of S3 error codes that do not mean trouble with
// the storage.
var storageCodes = map[string]problem{
	"NoSuchKey":          {status: http.StatusNotFound, code: "NotFound", message: "The file behind this link is not there."},
	"NoSuchVersion":      {status: http.StatusNotFound, code: "NotFound", message: "The file behind this link is not there."},
	"PreconditionFailed": condition,
	"ConditionalRequestConflict": {status: http.StatusConflict, code: "OperationAborted",
		message: "Something else is writing the file right now. Try again.", retry: 1},
	"OperationAborted": {status: http.StatusConflict, code: "OperationAborted",
		message: "Something else is writing the file right now. Try again.", retry: 1},
	"InvalidObjectState": {status: http.StatusConflict, code: "InvalidObjectState",
		message: "The file behind this link is archived and must be restored before it can be fetched."},
	"EntityTooLarge": {status: http.StatusRequestEntityTooLarge, code: "EntityTooLarge",
		message: "The file is larger than the storage takes."},
	"BadDigest":                   badDigest,
	"XAmzContentChecksumMismatch": badDigest, // MinIO
	"InvalidDigest":               badDigestForm,
	"IncompleteBody":              badUpload,
	"RequestTimeout":              badUpload,
	"SlowDown":                    storageBusy,
	"ServiceUnavailable":          storageBusy,
	"ExpiredToken":                unavailable,
	"TokenRefreshRequired":        unavailable,
	"RequestTimeTooSkewed":        unavailable,
}

// problemOf turns an error into what the client hears.
func problemOf(err error) problem {
	var (
		method   *methodError
		rng      *rangeError
		large    *tooLargeError
		media    *typeError
		missing  *missingError
		spent    *tokens.SpentError
		tries    *tokens.TriesError
		answer   *answerError
		tus      *tusError
		answered *s3client.Error
		timeout  net.Error
	)
	switch {
	case errors.As(err, &method):
		return problem{status: http.StatusMethodNotAllowed, code: "MethodNotAllowed",
			message: "This link does not permit that method.", allow: method.allow}
	case errors.As(err, &rng):
		return problem{status: http.StatusRequestedRangeNotSatisfiable, code: "InvalidRange",
			message: "The file has no such range."}
	case errors.As(err, &spent):
		return problem{status: http.StatusGone, code: "LinkUsed",
			message: "This link has been used as often as it may be. Of a download that may still be resumed {0} bytes are left: ask for a range of them.", args: []any{spent.Left}}
	case errors.As(err, &large):
		if large.size < 0 {
			return problem{status: http.StatusRequestEntityTooLarge, code: "EntityTooLarge",
				message: "The upload has more than the {0} bytes that this link permits, so nothing was stored.", args: []any{large.limit}}
		}
		return problem{status: http.StatusRequestEntityTooLarge, code: "EntityTooLarge",
			message: "The upload has {0} bytes; this link permits at most {1}.", args: []any{large.size, large.limit}}
	case errors.As(err, &missing):
		return problem{status: http.StatusBadRequest, code: "MissingChecksum",
			message: "This link takes only uploads with a checksum: send {0}.", args: []any{checksumHeader(missing.checksum)}}
	case errors.As(err, &media) && media.sniffed:
		return problem{status: http.StatusUnsupportedMediaType, code: "UnsupportedMediaType",
			message: "This link takes only {0}, and the upload does not look like that.", args: []any{strings.Join(media.allowed, ", ")}}
	case errors.As(err, &media):
		return problem{status: http.StatusUnsupportedMediaType, code: "UnsupportedMediaType",
			message: "This link takes only {0}; declare it in Content-Type.", args: []any{strings.Join(media.allowed, ", ")}}
	case errors.As(err, &tries):
		return problem{status: http.StatusTooManyRequests, code: "TooManyPasscodes", retry: int(tries.Wait/time.Second) + 1,
			message: "The passcode of this link was wrong too often. Try again later."}
	case errors.As(err, &tus):
		return tus.problem
	case errors.As(err, &answer):
		return problem{status: http.StatusForbidden, code: "ConfirmationRequired", message: answer.words}
	case errors.Is(err, s3client.ErrUnreachable) && !errors.Is(err, uploads.ErrUnknown) &&
		(errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded)):
		p := storageTrouble
		p.status = http.StatusGatewayTimeout
		return p
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return c.problem
		}
	}
	if errors.As(err, &answered) {
		return storageProblem(answered)
	}
	return problem{status: http.StatusInternalServerError, code: "InternalError",
		message: "Something went wrong here. Nothing was used up; try again later."}
}

// storageProblem judges by S3's code, and where there is none, as in answers
// to HEAD, by its status.
func storageProblem(e *s3client.Error) problem {
	if p, ok := storageCodes[e.Code]; ok {
		return p
	}
	switch {
	case e.Status == http.StatusPreconditionFailed:
		return storageCodes["PreconditionFailed"]
	case e.Status == http.StatusMethodNotAllowed: // the version is a delete marker
		return storageCodes["NoSuchVersion"]
	case e.Status == http.StatusNotFound && e.Code == "":
		return storageCodes["NoSuchKey"]
	case e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests:
		return storageBusy
	case e.Status == http.StatusGatewayTimeout:
		p := storageTrouble
		p.status = http.StatusGatewayTimeout
		return p
	}
	return storageTrouble
}
