//! Kinds of updates and of media.

use std::fmt;
use std::time::Duration;

macro_rules! names {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// One that this version does not know, by Telegram's name.
            Other(Box<str>),
        }

        impl $name {
            /// All that are known.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),*];

            /// Reads Telegram's name; every name has a value.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }

            /// Telegram's name.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.name())
            }
        }
    };
}

names! {
    /// What an update tells of: the name of the member beside `update_id`.
    Kind {
        /// A new message.
        Message = "message",
        /// A message was changed, perhaps in a way that the bot does not see.
        EditedMessage = "edited_message",
        /// A new post in a channel.
        ChannelPost = "channel_post",
        /// A post in a channel was changed.
        EditedChannelPost = "edited_channel_post",
        /// The bot was connected to a business account, or the connection changed.
        BusinessConnection = "business_connection",
        /// A new message of a connected business account.
        BusinessMessage = "business_message",
        /// A message of a connected business account was changed.
        EditedBusinessMessage = "edited_business_message",
        /// Messages of a connected business account were deleted.
        DeletedBusinessMessages = "deleted_business_messages",
        /// A message that mentions the bot in a chat where it is no member.
        GuestMessage = "guest_message",
        /// Somebody changed their reaction.
        MessageReaction = "message_reaction",
        /// Counts of anonymous reactions changed.
        MessageReactionCount = "message_reaction_count",
        /// Somebody types the bot's name and a question in any chat.
        InlineQuery = "inline_query",
        /// A result of an inline query was chosen.
        ChosenInlineResult = "chosen_inline_result",
        /// A button was pressed.
        CallbackQuery = "callback_query",
        /// The price of sending is asked for.
        ShippingQuery = "shipping_query",
        /// Somebody is about to pay.
        PreCheckoutQuery = "pre_checkout_query",
        /// Paid media was bought.
        PurchasedPaidMedia = "purchased_paid_media",
        /// A poll changed.
        Poll = "poll",
        /// Somebody changed their answer in a poll.
        PollAnswer = "poll_answer",
        /// The bot's own membership changed; also how a person blocks it.
        MyChatMember = "my_chat_member",
        /// Somebody's membership changed.
        ChatMember = "chat_member",
        /// Somebody asks to join.
        ChatJoinRequest = "chat_join_request",
        /// A boost was given or changed.
        ChatBoost = "chat_boost",
        /// A boost was taken away.
        RemovedChatBoost = "removed_chat_boost",
        /// A bot that this bot manages was made, or its token or owner changed.
        ManagedBot = "managed_bot",
        /// A subscription changed.
        Subscription = "subscription",
        /// A person stopped what was being generated for them.
        StoppedMessageGeneration = "stopped_message_generation",
    }
}

names! {
    /// What a message carries besides words.
    Media {
        /// A silent video or GIF.
        Animation = "animation",
        /// Music.
        Audio = "audio",
        /// A file.
        Document = "document",
        /// A photo with movement.
        LivePhoto = "live_photo",
        /// Photos or videos to be paid for.
        PaidMedia = "paid_media",
        /// A photo.
        Photo = "photo",
        /// A sticker.
        Sticker = "sticker",
        /// A forwarded story.
        Story = "story",
        /// A video.
        Video = "video",
        /// A round video.
        VideoNote = "video_note",
        /// A spoken message.
        Voice = "voice",
        /// A check list.
        Checklist = "checklist",
        /// A telephone number.
        Contact = "contact",
        /// A die that was thrown.
        Dice = "dice",
        /// A game.
        Game = "game",
        /// A poll.
        Poll = "poll",
        /// A place with a name.
        Venue = "venue",
        /// A place.
        Location = "location",
        /// A bill.
        Invoice = "invoice",
    }
}

names! {
    /// What kind of chat it is.
    ChatKind {
        /// With one person.
        Private = "private",
        /// A small group.
        Group = "group",
        /// A group as most are.
        Supergroup = "supergroup",
        /// A channel.
        Channel = "channel",
        /// Where an inline query comes from: the chat with the bot itself.
        Sender = "sender",
    }
}

impl Kind {
    /// Whether somebody waits at a spinning wheel: such updates go before messages.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        matches!(
            self,
            Self::CallbackQuery | Self::InlineQuery | Self::ShippingQuery | Self::PreCheckoutQuery
        )
    }

    /// How long Telegram keeps an unconfirmed update of this kind.
    #[must_use]
    pub fn kept_for(&self) -> Duration {
        Duration::from_secs(match self {
            Self::InlineQuery => 30,
            Self::CallbackQuery | Self::ShippingQuery | Self::PreCheckoutQuery => 150,
            Self::ChosenInlineResult => 600,
            _ => 24 * 3600,
        })
    }

    /// Whether Telegram sends it only to bots that asked for it by name.
    #[must_use]
    pub fn must_be_asked_for(&self) -> bool {
        matches!(
            self,
            Self::ChatMember | Self::MessageReaction | Self::MessageReactionCount
        )
    }
}
