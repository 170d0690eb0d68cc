import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** The additional checksum algorithms of S3, as they are named in `x-amz-checksum-<algorithm>`. */
export const CHECKSUM_ALGORITHMS = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const;
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];

/** `FULL_OBJECT` is over the bytes; `COMPOSITE` is over the parts' checksums and ends in `-<parts>`. */
export type ChecksumType = 'COMPOSITE' | 'FULL_OBJECT';

/** A checksum as S3 stores it with an object; the value is base64. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: string;
  readonly type: ChecksumType;
}

/** A running digest. `digest` may be called once. */
export interface Digest {
  update(bytes: Buffer): void;
  digest(): Buffer;
}

/** True for the name of an algorithm that this server computes. */
export function isChecksumAlgorithm(name: string): name is ChecksumAlgorithm {
  return (CHECKSUM_ALGORITHMS as readonly string[]).includes(name);
}

/** Starts a digest of one of S3's checksum algorithms, or of MD5. */
export function createDigest(algorithm: ChecksumAlgorithm | 'md5'): Digest {
  if (algorithm === 'crc32') return new Crc32Digest();
  if (algorithm === 'crc32c') return new Crc32cDigest();
  if (algorithm === 'crc64nvme') return new Crc64NvmeDigest();
  return createHash(algorithm);
}

class Crc32Digest implements Digest {
  #crc = 0;
  update(bytes: Buffer): void {
    this.#crc = crc32(bytes, this.#crc);
  }
  digest(): Buffer {
    return uintToBytes(BigInt(this.#crc), 32);
  }
}

/** Reflected polynomials: CRC-32/ISO-HDLC, CRC-32/ISCSI and CRC-64/NVME of the CRC RevEng catalogue. */
const CRC_WIDTHS_AND_POLYNOMIALS = {
  crc32: [32, 0xedb88320n],
  crc32c: [32, 0x82f63b78n],
  crc64nvme: [64, 0x9a6c9329ac4bc9b5n],
} as const;

/** The 256-entry table of a reflected CRC, as low and high 32-bit halves. */
function crcTable(polynomial: bigint): { low: Int32Array; high: Int32Array } {
  const low = new Int32Array(256);
  const high = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ polynomial : crc >> 1n;
    low[byte] = Number(BigInt.asIntN(32, crc));
    high[byte] = Number(BigInt.asIntN(32, crc >> 32n));
  }
  return { low, high };
}

const CRC32C_TABLE = crcTable(CRC_WIDTHS_AND_POLYNOMIALS.crc32c[1]);
const CRC64NVME_TABLE = crcTable(CRC_WIDTHS_AND_POLYNOMIALS.crc64nvme[1]);

class Crc32cDigest implements Digest {
  #crc = -1;
  update(bytes: Buffer): void {
    let crc = this.#crc;
    for (const byte of bytes) crc = (crc >>> 8) ^ CRC32C_TABLE.low[(crc ^ byte) & 0xff]!;
    this.#crc = crc;
  }
  digest(): Buffer {
    return uintToBytes(BigInt(~this.#crc >>> 0), 32);
  }
}

/** Works on two 32-bit halves: BigInt arithmetic per byte would be some fifty times slower. */
class Crc64NvmeDigest implements Digest {
  #low = -1;
  #high = -1;
  update(bytes: Buffer): void {
    let low = this.#low;
    let high = this.#high;
    for (const byte of bytes) {
      const index = (low ^ byte) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ CRC64NVME_TABLE.low[index]!;
      high = (high >>> 8) ^ CRC64NVME_TABLE.high[index]!;
    }
    this.#low = low;
    this.#high = high;
  }
  digest(): Buffer {
    return uintToBytes((BigInt(~this.#high >>> 0) << 32n) | BigInt(~this.#low >>> 0), 64);
  }
}

/** What `checksumOfParts` needs to know of a part. */
export interface PartChecksum {
  readonly sizeBytes: number;
  /** Base64. */
  readonly value: string;
}

/**
 * The checksum of a multipart object from those of its parts, without reading the bytes.
 *
 * @param type SHA algorithms can only be `COMPOSITE`
 */
export function checksumOfParts(
  algorithm: ChecksumAlgorithm,
  type: ChecksumType,
  parts: readonly PartChecksum[],
): Checksum {
  if (type === 'FULL_OBJECT' && algorithm in CRC_WIDTHS_AND_POLYNOMIALS) {
    const [width, polynomial] =
      CRC_WIDTHS_AND_POLYNOMIALS[algorithm as keyof typeof CRC_WIDTHS_AND_POLYNOMIALS];
    const crc = parts.reduce((sum, part) => {
      const shifted = multiplyPolynomials(
        sum,
        powerOfX(part.sizeBytes, width, polynomial),
        width,
        polynomial,
      );
      return shifted ^ bytesToUint(Buffer.from(part.value, 'base64'));
    }, 0n);
    return { algorithm, type, value: uintToBytes(crc, width).toString('base64') };
  }
  const digest = createDigest(algorithm);
  for (const part of parts) digest.update(Buffer.from(part.value, 'base64'));
  return { algorithm, type: 'COMPOSITE', value: `${digest.digest().toString('base64')}-${parts.length}` };
}

/** x^(8·bytes) modulo the polynomial, in the reflected form: bit width-1 is x^0. */
function powerOfX(bytes: number, width: number, polynomial: bigint): bigint {
  let result = 1n << BigInt(width - 1);
  let square = 1n << BigInt(width - 1 - 8);
  for (let exponent = bytes; exponent > 0; exponent = Math.floor(exponent / 2)) {
    if (exponent % 2 === 1) result = multiplyPolynomials(result, square, width, polynomial);
    square = multiplyPolynomials(square, square, width, polynomial);
  }
  return result;
}

function multiplyPolynomials(a: bigint, b: bigint, width: number, polynomial: bigint): bigint {
  let product = 0n;
  let shifted = b;
  for (let bit = width - 1; bit >= 0; bit--) {
    if ((a >> BigInt(bit)) & 1n) product ^= shifted;
    shifted = shifted & 1n ? (shifted >> 1n) ^ polynomial : shifted >> 1n;
  }
  return product;
}

function uintToBytes(value: bigint, width: 32 | 64): Buffer {
  return Buffer.from(value.toString(16).padStart(width / 4, '0'), 'hex');
}

function bytesToUint(bytes: Buffer): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${bytes.toString('hex')}`);
}
