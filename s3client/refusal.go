package s3client

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// What the errors of settings wrap when S3 has understood the request and will
// not do it.
var (
	// ErrForbidden: the credentials may not read or write the setting.
	ErrForbidden = errors.New("not permitted")
	// ErrUnsupported: the store does not have the setting.
	ErrUnsupported = errors.New("not supported by the store")
	// ErrPolicy: the store cannot make anything of a policy. What was there stays.
	ErrPolicy = errors.New("the store does not understand the policy")
)

// refusal is an error of the store and the one of ours that it means.
type refusal struct{ kind, cause error }

// Error says what the store said, which names the permission that is missing, and
// not which layers of the SDK it came through.
func (r *refusal) Error() string {
	var api smithy.APIError
	if errors.As(r.cause, &api) {
		return fmt.Sprintf("%v: %s: %s", r.kind, api.ErrorCode(), api.ErrorMessage())
	}
	if answered := (*Error)(nil); errors.As(r.cause, &answered) {
		return fmt.Sprintf("%v: %d %s", r.kind, answered.Status, answered.Code)
	}
	return fmt.Sprintf("%v: %v", r.kind, r.cause)
}

func (r *refusal) Unwrap() []error { return []error{r.kind, r.cause} }

// refused tells what kind of refusal an answer is, by its code, and where it
// has none that is known, by its status.
func refused(err error) error {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) {
		return err
	}
	return asRefusal(err, response.HTTPStatusCode(), errorCodeOf(err))
}

func asRefusal(err error, status int, code string) error {
	switch {
	case code == "AccessDenied" || status == http.StatusForbidden:
		return &refusal{ErrForbidden, err}
	case code == "NotImplemented" || code == "XNotImplemented" || code == "MethodNotAllowed",
		status == http.StatusNotImplemented || status == http.StatusMethodNotAllowed:
		return &refusal{ErrUnsupported, err}
	}
	return err
}
