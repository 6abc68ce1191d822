namespace Kernels.Devices;

/// <summary>A matrix product of the device's vendor, where one is installed.</summary>
internal interface IVendorBlas
{
    /// <summary>The name of its product, for messages.</summary>
    string ProductName { get; }

    /// <summary>Why it cannot do this product, or null when it can.</summary>
    string? Reject(in MatrixProduct product);

    /// <summary>Queues c = op(a) op(b).</summary>
    void Multiply(in MatrixProduct product, TensorArgument a, TensorArgument b, TensorArgument c);
}

/// <summary>
/// The shape of c[m, n] = op(a) op(b) over row-major matrices: a is stored [m, k], or [k, m] when transposed; b is stored [k, n], or [n,
/// k].
/// </summary>
internal readonly record struct MatrixProduct(DType DType, long M, long N, long K, bool TransposeA, bool TransposeB);
