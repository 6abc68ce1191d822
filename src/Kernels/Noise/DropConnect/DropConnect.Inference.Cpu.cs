using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class DropConnect
{
    private readonly struct CpuInference : ICpuKernel<DropConnectInferenceArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DropConnectInferenceArguments arguments)
            where T : unmanaged
        {
            DropConnectInferenceArguments a = arguments;
            CpuPhilox philox = new(a.Key.Resolve());
            (long examples, long inputs, long outputs) = ((long)a.Examples, (long)a.Inputs, (long)a.Outputs);
            CpuParallel.ForRange(examples * outputs, Math.Max(1, CpuParallel.ElementsPerChunk / (inputs + (long)a.Samples)), (first, end) =>
            {
                CpuPhilox local = philox;
                float* normals = CpuScratch.Take<float>(CpuNormals.AtOnce);
                T* bias = a.Bias.Pointer<T>();
                T* mean = a.Mean.Pointer<T>();
                T* variance = a.Variance.Pointer<T>();
                for (long i = first; i < end; i++)
                {
                    (long output, long example) = Math.DivRem(i, examples);
                    long pair = (example * outputs) + output;
                    Moments(
                        a.Weight.Pointer<T>() + (output * inputs), a.X.Pointer<T>() + (example * inputs), inputs,
                        bias == null ? 0 : CpuElement.ToDouble(bias[output]), out double sum, out double squares);

                    // Without variance nothing is drawn, also where an infinity would make it 0 * inf.
                    double mu = a.MeanScale * sum, spread = a.VarianceScale == 0 ? 0 : a.VarianceScale * squares;
                    double y = SampleMean<T>(local, normals, (a.FirstPair + (ulong)pair) * a.Samples, (long)a.Samples,
                        (DropConnectActivation)a.Activation, mu, Math.Sqrt(spread));
                    a.Y.Pointer<T>()[pair] = CpuElement.FromDouble<T>(y);
                    if (mean != null) mean[pair] = CpuElement.FromDouble<T>(mu);
                    if (variance != null) variance[pair] = CpuElement.FromDouble<T>(spread);
                }
            });
        }

        /// <summary>w x + b and w^2 x^2 + b^2.</summary>
        private static void Moments<T>(T* weight, T* x, long count, double bias, out double sum, out double squares)
            where T : unmanaged
        {
            long i = 0;
            (sum, squares) = (bias, bias * bias);
            if (typeof(T) != typeof(double))
            {
                Vector512<float> sum0 = default, sum1 = default, squares0 = default, squares1 = default;
                for (; i + 32 <= count; i += 32)
                {
                    Vector512<float> product0 = CpuElement.Load(weight + i) * CpuElement.Load(x + i);
                    Vector512<float> product1 = CpuElement.Load(weight + i + 16) * CpuElement.Load(x + i + 16);
                    sum0 += product0;
                    sum1 += product1;
                    squares0 = Vector512.FusedMultiplyAdd(product0, product0, squares0);
                    squares1 = Vector512.FusedMultiplyAdd(product1, product1, squares1);
                }

                double vectorSquares = Vector512.Sum(squares0 + squares1);
                if (double.IsFinite(vectorSquares))
                {
                    sum += Vector512.Sum(sum0 + sum1);
                    squares += vectorSquares;
                }
                else
                {
                    // Squares of products beyond 2^64 overflow a float although their root does not.
                    i = 0;
                }
            }

            for (; i < count; i++)
            {
                double product = CpuElement.ToDouble(weight[i]) * CpuElement.ToDouble(x[i]);
                sum += product;
                squares += product * product;
            }
        }

        /// <summary>The mean of the activation over the normal numbers from <paramref name="first"/> on.</summary>
        private static double SampleMean<T>(
            in CpuPhilox philox, float* normals, ulong first, long samples, DropConnectActivation activation, double mu, double sigma)
            where T : unmanaged
        {
            if (sigma == 0) return Activate(activation, mu);
            Vector512<float> center = Vector512.Create((float)mu), width = Vector512.Create((float)sigma), total = default;
            double rest = 0;
            int skip = (int)(first % CpuNormals.Lanes);
            for (long drawn = 0; drawn < skip + samples; drawn += CpuNormals.AtOnce)
            {
                int length = (int)Math.Min(CpuNormals.AtOnce, skip + samples - drawn);
                CpuNormals.Fill(philox, (first - (ulong)skip + (ulong)drawn) / 4, normals, length);
                for (int at = 0; at < length; at += CpuNormals.Lanes)
                {
                    long i = drawn + at - skip;
                    if (typeof(T) != typeof(double) && i >= 0 && i + CpuNormals.Lanes <= samples)
                    {
                        total += Activate(activation, Vector512.FusedMultiplyAdd(width, Vector512.Load(normals + at), center));
                        total += Activate(activation, Vector512.FusedMultiplyAdd(width, Vector512.Load(normals + at + 16), center));
                        continue;
                    }

                    for (long lane = Math.Max(0, -i); lane < Math.Min(CpuNormals.Lanes, samples - i); lane++)
                        rest += Activate(activation, mu + (sigma * normals[at + lane]));
                }
            }

            return (rest + Vector512.Sum(total)) / samples;
        }

        private static double Activate(DropConnectActivation activation, double u) => activation switch
        {
            DropConnectActivation.Relu => u <= 0 ? 0 : u,
            DropConnectActivation.Tanh => Math.Tanh(u),
            DropConnectActivation.Sigmoid => 1 / (1 + Math.Exp(-u)),
            _ => u,
        };

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Activate(DropConnectActivation activation, Vector512<float> u)
        {
            Vector512<float> zero = Vector512<float>.Zero, one = Vector512<float>.One;
            if (activation == DropConnectActivation.Identity) return u;
            if (activation == DropConnectActivation.Relu) return Vector512.ConditionalSelect(Vector512.LessThanOrEqual(u, zero), zero, u);

            // Both from t = e^-|u| or e^-2|u|, which does not overflow.
            Vector512<float> negative = Vector512.LessThan(u, zero);
            Vector512<float> magnitude = Vector512.Abs(u);
            if (activation == DropConnectActivation.Tanh)
            {
                Vector512<float> t = CpuExp.Exp(magnitude * Vector512.Create(-2f));
                Vector512<float> result = (one - t) / (one + t);
                return Vector512.ConditionalSelect(negative, -result, result);
            }

            Vector512<float> e = CpuExp.Exp(-magnitude);
            return Vector512.ConditionalSelect(negative, e, one) / (one + e);
        }
    }
}
