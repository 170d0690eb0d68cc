import { imageEndpoint } from './pictures.ts';

/** Source: API reference, "Images". */
export const imageGenerations = imageEndpoint('/v1/images/generations');
