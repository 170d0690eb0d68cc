/** What a model reads of a request: its texts, and everything that is not text, which takes tokens by other rules. */

/** What is not text, and of which the request does not say how many tokens it takes. */
export const UNESTIMATED_KINDS = ['image', 'audio', 'file', 'stored', 'hosted_tool'] as const;
/**
 * `image`: of unknown size, or of a model without a documented rule; `audio`; `file`: its text and its pages;
 * `stored`: a prompt or conversation that the provider keeps; `hosted_tool`: what the provider's own tools put in.
 */
export type UnestimatedKind = (typeof UNESTIMATED_KINDS)[number];

export interface Prompt {
  /**
   * Texts in the order in which the model reads them, which is the order that prompt caching goes by: tools and the
   * schema of the answer as compact JSON, instructions, then the messages.
   */
  texts: string[];
  /** How many texts come before the first thing that is not in the request as text; absent: there is no such thing. */
  opaqueAt?: number;
  /** Tokens that the request gives as numbers. */
  tokens: number;
  /** Messages, each of which takes some tokens of its own; 0 for endpoints that have none. */
  messages: number;
  images: ImagePart[];
  /** Bytes of audio, packed as they are. */
  audioBytes: number;
  files: number;
  /** Refers to what the provider keeps, such as an earlier response. */
  isStored: boolean;
  hasHostedTools: boolean;
}

/** A prompt that nothing was read into yet. */
export function newPrompt(): Prompt {
  return {
    texts: [],
    tokens: 0,
    messages: 0,
    images: [],
    audioBytes: 0,
    files: 0,
    isStored: false,
    hasHostedTools: false,
  };
}

/** What a request says of an image. */
export interface ImagePart {
  /** `low`, `high`, `auto`, `original`; absent: `auto`. */
  detail?: string | undefined;
  /** Pixels; absent for images behind URLs and file ids, and for formats that are not read here. */
  size?: { width: number; height: number } | undefined;
}

/** What an image costs in input tokens. */
export interface ImageTokens {
  /** Best guess: exact if {@link isExact}. */
  tokens: number;
  /** No image of the kind costs more. */
  atMost: number;
  /** The rule is documented and the image's size is known. */
  isExact: boolean;
}
