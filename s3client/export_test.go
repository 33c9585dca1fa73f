package s3client

// PlainSigner signs plain requests, for the tests that hold it against the SDK's
// signer.
type PlainSigner = plainSigner

// NewPlainSigner returns one for a region.
func NewPlainSigner(region string) *PlainSigner { return &plainSigner{region: region} }

// SignPlain signs a request, if it is plain.
var SignPlain = (*plainSigner).sign
