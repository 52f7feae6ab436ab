//! Quality flags: what was odd about an input or a decision. A flag never changes what is stored.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// The flags of one record, in a fixed order.
pub type Flags = BTreeSet<Flag>;

/// Whether an IDFA came and was dropped (DECISIONS 16).
#[must_use]
pub fn has_dropped_idfa(flags: &Flags) -> bool {
    [Flag::IdfaDroppedAttMissing, Flag::IdfaDroppedAttFalse].iter().any(|flag| flags.contains(flag))
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// One oddity.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Flag {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Flag {
            /// The name shown to people and in answers.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

flags! {
    /// The address sent is not an IP address.
    IpInvalid => "ip_invalid",
    /// No address came with the input.
    IpMissing => "ip_missing",
    /// No user agent was sent; the device string was made from model, OS and version (DECISIONS 20).
    UaManufactured => "ua_manufactured",
    /// Neither a user agent nor a device version was sent.
    UaMissing => "ua_missing",
    /// No time was sent: the receipt time stands.
    TimeMissing => "time_missing",
    /// The time sent could not be read: the receipt time stands.
    TimeInvalid => "time_invalid",
    /// The time sent lies before 2008: the receipt time stands.
    TimeBefore2008 => "time_before_2008",
    /// The time sent lay in the future: clamped to receipt.
    TimeFuture => "time_future",
    /// The IDFA was dropped, because iOS 14+ came without the ATT flag.
    IdfaDroppedAttMissing => "idfa_dropped:att_missing",
    /// The IDFA was dropped, because ATT was refused.
    IdfaDroppedAttFalse => "idfa_dropped:att_false",
    /// No identifier a device could be joined by.
    NoIdentifier => "no_identifier",
    /// An identifier belongs to another device already and stays there (DECISIONS 13).
    IdConflict => "id_conflict",
    /// An advertising id came under `idfa` from an Android device and was taken as `adid` (DECISIONS 15).
    AdidUnderIdfa => "adid_under_idfa",
    /// The engagement seemed to lie after the install, within the allowed clock skew (DECISIONS 2).
    ClockSkew => "clock_skew",
    /// The same bytes came within ten minutes (ingest.md section 19).
    PossibleDuplicate => "possible_duplicate",
    /// The same device had the same kind of engagement with the same tracker before, or its install is known.
    Duplicate => "duplicate",
    /// Apple gave no date: the install time stands (tracking-and-attribution.md section 11).
    DateManufactured => "date_manufactured",
    /// Another install was credited with the same click as modeled before (DECISIONS 19).
    SharedClick => "shared_click",
    /// The matching identifier was hashed twice.
    DoubleHash => "double_hash",
    /// A value stands where amounts are looked for, and it is no amount that can be kept exactly.
    AmountInvalid => "amount_invalid",
    /// Install authentication passed.
    AuthOk => "auth:ok",
    /// Install authentication headers were missing and the app only flags.
    AuthMissing => "auth:missing",
    /// Install authentication failed and the app only flags.
    AuthBad => "auth:bad",
    /// Personal advertising was limited on the device.
    LimitAdTracking => "limit_ad_tracking",
    /// Apple was asked what an AdServices token stands for and did not say.
    AsaUnresolved => "asa_unresolved",
    /// Modeled matches were in question on iOS 14+ without ATT consent (DECISIONS 17).
    AttNoConsent => "att_no_consent",
    /// The impression was seen to its end (`event=view`).
    CompletedView => "completed_view",
    /// The link carries a valid signature of its network (tracking-and-attribution.md section 14).
    SignatureOk => "signature:ok",
    /// The network signs its clicks and this one is not signed.
    SignatureMissing => "signature:missing",
    /// What told of whom it was about was erased on request (section 16).
    Erased => "erased",
    /// The signature is not that of the link.
    SignatureBad => "signature:bad",
    /// The signature's time is over.
    SignatureExpired => "signature:expired",
    /// The sender's clock was off by a minute or more, and the times it wrote were corrected by that.
    ClockCorrected => "clock_corrected",
    /// The install referrer names another source than the one credited (tracking-and-attribution.md
    /// section 10: Google Referrer Mismatch).
    ReferrerMismatch => "referrer_mismatch",
    /// The store's word for the beginning of the download stands for the time of the install.
    ReferrerBeginTime => "referrer_begin_time",
    /// No flag of App Tracking Transparency was sent, and the app takes the IDFA for the user's consent.
    AttFromIdfa => "att_from_idfa",
    /// The sender named no country: it is that of the address, from the server's database.
    CountryFromDatabase => "country_from_database",
    /// What stands for Apple's word on Search Ads is no object, nor the text of one.
    SearchAdsInvalid => "search_ads_invalid",
    /// A server told of an engagement and not of the user's address: its own stands there, and counts for
    /// nothing.
    IpOfCaller => "ip_of_caller",
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
