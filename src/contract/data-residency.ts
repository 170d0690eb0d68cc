/** Regions in which OpenAI keeps the data of a project. Source: openai 7.59.0, client option `dataResidency`. */
export const DATA_REGIONS = ['us', 'eu', 'ae', 'au', 'in', 'jp'] as const;
export type DataRegion = (typeof DATA_REGIONS)[number];

export const DATA_REGION_EXPECTED = `a region is one of ${DATA_REGIONS.map((region) => `"${region}"`).join(', ')}`;

/** Where requests of a project of that region go. Source: the same. */
export function residentBaseUrl(region: DataRegion): string {
  return `https://${region}.api.openai.com/v1`;
}

/** The region of such an address; `undefined`: it is none. */
export function regionOfBaseUrl(url: string): DataRegion | undefined {
  const host = URL.canParse(url) ? new URL(url).hostname : '';
  return DATA_REGIONS.find((region) => host === `${region}.api.openai.com`);
}
