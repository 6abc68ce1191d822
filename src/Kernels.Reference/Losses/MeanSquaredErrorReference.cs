namespace Kernels.Reference;

/// <summary>Mean squared error and its gradient.</summary>
public static class MeanSquaredErrorReference
{
    /// <summary>The mean of (prediction - target)^2; 0 of nothing.</summary>
    public static double Loss(ReadOnlySpan<double> predictions, ReadOnlySpan<double> targets)
    {
        double sum = 0;
        for (int i = 0; i < predictions.Length; i++)
        {
            double difference = predictions[i] - targets[i];
            sum += difference * difference / predictions.Length;
        }

        return sum;
    }

    /// <summary>scale * 2 (prediction - target) / count, added to what is in the gradient.</summary>
    public static void AddGradient(ReadOnlySpan<double> predictions, ReadOnlySpan<double> targets, Span<double> gradient, double scale)
    {
        for (int i = 0; i < predictions.Length; i++) gradient[i] += scale * 2 * (predictions[i] - targets[i]) / predictions.Length;
    }
}
