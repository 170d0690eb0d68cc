import { imageEndpoint } from './pictures.ts';

/** Source: API reference, "Images". */
export const imageEdits = imageEndpoint('/v1/images/edits');
