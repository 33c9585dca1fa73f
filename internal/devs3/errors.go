package devs3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/rclone/gofakes3"

	"s3gate/internal/devs3/disk"
)

// apiError is an answer that is not a success, as "Error responses" in the
// Amazon S3 API Reference has it. The status follows from the code.
type apiError struct {
	code, message string
	details       []detail
}

// detail is an element of the document beyond those that all have.
type detail struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// with returns the error with one more element.
func (e *apiError) with(name, value string) *apiError {
	more := *e
	more.details = append(more.details[:len(more.details):len(more.details)], detail{xml.Name{Local: name}, value})
	return &more
}

var (
	errAccessDenied     = &apiError{code: "AccessDenied", message: "Access Denied"}
	errBadDigest        = &apiError{code: "BadDigest", message: "The Content-MD5 or checksum value that you specified did not match what the server received."}
	errClosed           = &apiError{code: "ServiceUnavailable", message: "The server is shutting down."}
	errCORS             = &apiError{code: "AccessForbidden", message: "CORSResponse: CORS is not enabled for this bucket."}
	errEntityTooLarge   = &apiError{code: "EntityTooLarge", message: "Your proposed upload exceeds the maximum allowed size"}
	errEntityTooSmall   = &apiError{code: "EntityTooSmall", message: "Your proposed upload is smaller than the minimum allowed size"}
	errIncompleteBody   = &apiError{code: "IncompleteBody", message: "You did not provide the number of bytes specified by the Content-Length HTTP header"}
	errInternal         = &apiError{code: "InternalError", message: "We encountered an internal error. Please try again."}
	errInvalidDigest    = &apiError{code: "InvalidDigest", message: "The Content-MD5 you specified is not valid."}
	errInvalidPart      = &apiError{code: "InvalidPart", message: "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."}
	errInvalidPartOrder = &apiError{code: "InvalidPartOrder", message: "The list of parts was not in ascending order. Parts must be ordered by part number."}
	errInvalidURI       = &apiError{code: "InvalidURI", message: "Couldn't parse the specified URI."}
	errKeyTooLong       = &apiError{code: "KeyTooLongError", message: "Your key is too long"}
	errMalformedXML     = &apiError{code: "MalformedXML", message: "The XML you provided was not well-formed or did not validate against our published schema"}
	errMessageTooLong   = &apiError{code: "MaxMessageLengthExceeded", message: "Your request was too big."}
	errMethodNotAllowed = &apiError{code: "MethodNotAllowed", message: "The specified method is not allowed against this resource."}
	errMissingDigest    = invalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	errMissingLength    = &apiError{code: "MissingContentLength", message: "You must provide the Content-Length HTTP header."}
	errNoPolicy         = &apiError{code: "NoSuchBucketPolicy", message: "The bucket policy does not exist"}
	errNoSuchBucket     = &apiError{code: "NoSuchBucket", message: "The specified bucket does not exist"}
	errNoSuchKey        = &apiError{code: "NoSuchKey", message: "The specified key does not exist."}
	errNoSuchUpload     = &apiError{code: "NoSuchUpload", message: "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}
	errNotImplemented   = &apiError{code: "NotImplemented", message: "A header or query you provided implies functionality that is not implemented"}
	errNotModified      = &apiError{code: "NotModified"}
	errPrecondition     = &apiError{code: "PreconditionFailed", message: "At least one of the pre-conditions you specified did not hold"}
)

func invalidArgument(name, message string) *apiError {
	return (&apiError{code: "InvalidArgument", message: message}).with("ArgumentName", name)
}

func invalidRequest(message string) *apiError {
	return &apiError{code: "InvalidRequest", message: message}
}

// statuses has the codes that gofakes3 does not know, or gives a status that S3
// does not.
var statuses = map[string]int{
	"AccessControlListNotSupported":                  http.StatusBadRequest,
	"AccessDenied":                                   http.StatusForbidden,
	"AccessForbidden":                                http.StatusForbidden,
	"AuthorizationHeaderMalformed":                   http.StatusBadRequest,
	"AuthorizationQueryParametersError":              http.StatusBadRequest,
	"BucketAlreadyOwnedByYou":                        http.StatusConflict,
	"EntityTooSmall":                                 http.StatusBadRequest,
	"IllegalVersioningConfigurationException":        http.StatusBadRequest,
	"InvalidAccessKeyId":                             http.StatusForbidden,
	"IllegalLocationConstraintException":             http.StatusBadRequest,
	"InvalidPartNumber":                              http.StatusRequestedRangeNotSatisfiable,
	"InvalidPolicyDocument":                          http.StatusBadRequest,
	"InvalidTargetBucketForLogging":                  http.StatusBadRequest,
	"MalformedPolicy":                                http.StatusBadRequest,
	"MalformedTrailerError":                          http.StatusBadRequest,
	"MaxPostPreDataLengthExceededError":              http.StatusBadRequest,
	"MethodNotAllowed":                               http.StatusMethodNotAllowed,
	"NoSuchBucketPolicy":                             http.StatusNotFound,
	"NoSuchLifecycleConfiguration":                   http.StatusNotFound,
	"NoSuchPublicAccessBlockConfiguration":           http.StatusNotFound,
	"OwnershipControlsNotFoundError":                 http.StatusNotFound,
	"ServerSideEncryptionConfigurationNotFoundError": http.StatusNotFound,
	"ServiceUnavailable":                             http.StatusServiceUnavailable,
	"SignatureDoesNotMatch":                          http.StatusForbidden,
	"XAmzContentSHA256Mismatch":                      http.StatusBadRequest,
}

func (e *apiError) status() int {
	if status, ok := statuses[e.code]; ok {
		return status
	}
	return gofakes3.ErrorCode(e.code).Status()
}

// apiErrorOf is the one place where errors become answers. An error that is in
// no table is ours to explain: it is logged and answered as internal.
func (s *Server) apiErrorOf(err error) *apiError {
	var known *apiError
	if errors.As(err, &known) {
		return known
	}
	for cause, answer := range answers {
		if errors.Is(err, cause) {
			return answer
		}
	}
	s.log.Error("serving S3 request", "err", err)
	return errInternal
}

var answers = map[error]*apiError{
	disk.ErrNoBucket:       errNoSuchBucket,
	disk.ErrBucketExists:   {code: "BucketAlreadyOwnedByYou", message: "Your previous request to create the named bucket succeeded and you already own it."},
	disk.ErrBucketNotEmpty: {code: "BucketNotEmpty", message: "The bucket you tried to delete is not empty"},
	disk.ErrNoKey:          errNoSuchKey,
	disk.ErrNoVersion:      {code: "NoSuchVersion", message: "The specified version does not exist."},
	disk.ErrBadVersion:     invalidArgument("versionId", "Invalid version id specified"),
	disk.ErrNoUpload:       errNoSuchUpload,
	disk.ErrNoPart:         errInvalidPart,
	disk.ErrPartOrder:      errInvalidPartOrder,
	disk.ErrPartTooSmall:   errEntityTooSmall,
	io.ErrUnexpectedEOF:    errIncompleteBody,
}

// document is the error as XML.
func (e *apiError) document(resource, requestID string) []byte {
	doc, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Details   []detail
		Resource  string
		RequestID string `xml:"RequestId"`
		HostID    string `xml:"HostId"`
	}{Code: e.code, Message: e.message, Details: e.details, Resource: resource, RequestID: requestID, HostID: "devs3"})
	if err != nil {
		return fmt.Appendf(nil, "<Error><Code>%s</Code></Error>", e.code)
	}
	return append([]byte(xml.Header), doc...)
}
