/** What an answer was charged for beside the tokens in its `usage`: calls of tools that the provider runs. */
export interface ToolUse {
  webSearches: number;
  /** Whether the searches were made with the preview of the tool, which has a price of its own. */
  isPreview: boolean;
  fileSearches: number;
  /** Whether there is a charge whose amount the answer does not report. */
  isUnpriced: boolean;
}
