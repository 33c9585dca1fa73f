package devs3

import "s3gate/internal/devs3/disk"

// logging is a bucket's ?logging ("Logging requests with server access logging",
// Amazon S3 User Guide).
type logging struct {
	Enabled *loggingTarget `xml:"LoggingEnabled"`
}

type loggingTarget struct {
	TargetBucket          string
	TargetPrefix          *string
	TargetGrants          *struct{}           `xml:",omitempty"`
	TargetObjectKeyFormat *targetObjectFormat `xml:",omitempty"`
}

type targetObjectFormat struct {
	SimplePrefix      *struct{} `xml:",omitempty"`
	PartitionedPrefix *struct{ PartitionDateSource string }
}

func (l *logging) check(x *exchange) error {
	if l.Enabled == nil {
		return nil
	}
	t := l.Enabled
	switch {
	case t.TargetBucket == "" || t.TargetPrefix == nil:
		return errMalformedXML
	case !x.server.store.HasBucket(t.TargetBucket) || t.TargetGrants != nil: // there are no ACLs to grant with
		return &apiError{code: "InvalidTargetBucketForLogging", message: "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group."}
	case t.TargetObjectKeyFormat != nil:
		return t.TargetObjectKeyFormat.check()
	}
	return nil
}

func (f *targetObjectFormat) check() error {
	if (f.SimplePrefix == nil) == (f.PartitionedPrefix == nil) {
		return errMalformedXML
	}
	if p := f.PartitionedPrefix; p != nil && p.PartitionDateSource != "EventTime" && p.PartitionDateSource != "DeliveryTime" {
		return errMalformedXML
	}
	return nil
}

var bucketLogging = setting{
	root: "BucketLoggingStatus", file: disk.Logging,
	blank: func() settingDocument { return new(logging) },
}
